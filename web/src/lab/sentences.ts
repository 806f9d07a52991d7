//! What the people of the lab write about: the plans for a village fair. It is content, not wording of the page.

export const SENTENCES: readonly string[] = [
  'The fair opens at nine, and the bread oven has to be hot by eight.',
  'We have forty tables and need perhaps ten more.',
  'The school orchestra plays at noon, if the weather holds.',
  'Somebody should ask the ferry for a late boat.',
  'Last year the lemonade was gone before three.',
  'The tent of the fire brigade stands beside the old lime tree.',
  'I have the key to the hall and will bring it on Friday.',
  'The children paint the signs on Wednesday afternoon.',
  'Water comes from the pump behind the church.',
  'We pay the band in cake, as always.',
  'The road to the harbour stays open for bicycles.',
  'There is enough rope for the tug of war and a little over.',
  'The raffle needs two more prizes, and one of them should be silly.',
  'Chairs go back to the school on Sunday before ten.',
  'The baker promised two hundred rolls and a surprise.',
  'A dry place for the instruments matters more than a stage.',
  'The map at the entrance should show where the shade is.',
  'We count the money together and write it down twice.',
  'The goat race needs a fence, and the fence needs a gate.',
  'If it rains we move everything into the boat shed.',
  'Lanterns along the quay were the best idea of last year.',
  'The first-aid box is under the counter of the tea stall.',
  'Please label the pots, or nobody finds their own again.',
  'The choir wants to sing from the balcony of the mill.',
]

/** Short remarks that go into the middle of what somebody else is writing. */
export const ASIDES: readonly string[] = [
  ' (agreed)',
  ' (I can do that)',
  ' (are we sure?)',
  ' (two are enough)',
  ' (see below)',
  ' (as last year)',
]
