"""How good a sealed bundle is: figures through the real predictor, and a report to read."""
