"""From bytes to a prediction, without torch."""
