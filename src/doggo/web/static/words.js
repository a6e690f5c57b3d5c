// Keys and numbers as people read them: the rules of core/breeds.py and core/shares.py.

const TITLES = new Map([["brabancon_griffon", "Brabançon Griffon"], ["shih-tzu", "Shih-Tzu"]]);
const SMALL_WORDS = ["and", "de", "des", "du", "of", "the"];

export const title = (breed) =>
  TITLES.get(breed) ??
  breed
    .split("_")
    .map((word, place) =>
      place && SMALL_WORDS.includes(word) ? word : word.charAt(0).toUpperCase() + word.slice(1))
    .join(" ");

// Nothing that a model says is certain: never 0 or 100 %.
export function percent(probability) {
  const shown = 100 * probability;
  if (shown < 0.1) return "<0.1 %";
  if (shown >= 99.95) return ">99.9 %";
  return `${Math.min(shown, 99.9).toFixed(1)} %`;
}
