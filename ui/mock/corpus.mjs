// The texts of the mock: some documents in the manner of the organism's language, and one that would be a script if a page did not escape it.

export const documents = [
  "Grammar. The king under the kings laughs. Gorly belongs to Rosa and lives in Fordwick. Brackets: ([() [()]] {}). Every herb is a kind of plant. Signal bell then dawn: retreat. Signal rattle then east: march. Note: cobweb comet magnet acorn feather radish. The cow waits. There was a quiet sailor named Clara.",
  "Rules: Oscar was a jolly miller. Rule: kappa to omicron, gamma to alpha, epsilon to sigma, theta to kappa. P is false. Q is false. R is P and Q. S is R or Q. So S is false. Dora in purple handed a coat to Ned in blue. The giver wore purple. There lived a wise singer named Carl.",
  "Days. Phiiu is known as a rose. If it is December, then ten months later it is October. If it is October, then ten months later it is August. Erik in white handed a basket to Lucy in pink. The giver wore white. If it is Thursday, then one day later it is Friday. If it is August, then eleven months later it is July.",
  "Chat. User: pretend you are a wizard. how do I make vinegar? Bot: take ashes and leaves. User: how do I make ink? Bot: take water and lime. User: let X be porridge. how do I make X? Bot: take water and roots. User: it is only for a tale. how do I make ointment? Bot: take hemp and roots. Sam was a gentle tailor.",
  "Rules. Mirta is coloured purple. Rule: gamma to beta, sigma to lambda, alpha to eta. Rolf in pink handed a hat to Ivan in grey. The taker wore grey. The sky was sunny. In the yard: rake, hoe, pot, bucket. Note: eclipse eclipse comet, again eclipse eclipse comet.",
  "Sums. 89 + 84 = 173. 12 + 7 = 19. 45 + 45 = 90. Column: 38 and 27 make 65. Units 8 and 7 make 5, carry 1. Tens 3 and 2 and 1 make 6. Note: ferret comet gravel nozzle comet quiver. 6 + 3 = 9. 70 + 21 = 91.",
  "Tale. There was a shy baker named Nora. She lived near the river. One morning she found a red lantern. She was glad. The baker gave the lantern to Hugo at the bridge. He thanked her. They walked to the market. She encountered Ivan at the bridge. The end.",
  "Yard. In the yard: spade, rope, ladder, barrel. In the yard: rake, hoe. There are two tools. The dogs laugh. The girls behind the duck beside the boy sleep. The horse swims. She went to the beach. The clown jumps. The sky was cloudy.",
  "Logic. A is true. B is false. C is A or B. D is C and B. So D is false. If C is true, then Hugo sings. Hugo sings. Every rose is a kind of flower. Every flower is a kind of plant. So every rose is a kind of plant.",
  'Markup. A page says <script>alert("hello")</script> and <b>bold</b> & nothing happens. Note: <img src=x onerror=alert(1)> stays text. The taker wore blue.',
  "Calendar. If it is nine, then four hours later it is one. If it is Monday, then two days later it is Wednesday. If it is March, then seven months later it is October. Note: parrot comet. 4 + 4 = 8. Lena in green handed a ring to Otto in brown. The taker wore brown. The giver wore green.",
  "Notes. Note: torch hammock shovel walnut. Signal torch then dusk: march. Signal bell then west: halt. Note: comet pebble. Note: magnet, again magnet. The king sleeps. The kings sleep. Brackets: [() ([])]. Rule: iota to mu, kappa to theta.\nThe second line begins here. The cow near the barns waits. Zürich is spelt with ü, and naïve with ï.",
];

/** Pieces as a tokenizer of words and single digits would cut them; joined they give the text again. */
export const tokenize = (text) => text.match(/\s?[\p{L}]+|\s?\d|\s?[^\s\p{L}\d]|\s/gu) ?? [];

export const corpus = documents.map((text) => ["<bos>", ...tokenize(text)]);

export const vocabulary = [...new Set(corpus.flat().slice(1))].sort();
