//! The names of scratch documents. The lab writes only into documents with such a name, so that nobody turns four
//! typists loose on a real one by changing the address.

const PREFIX = 'lab-'
const LETTERS = 'abcdefghjkmnpqrstuvwxyz23456789'
/** 31 letters to the power of 12 names: nobody meets by chance. */
const LENGTH = 12

export const isScratchName = (name: string): boolean => name.startsWith(PREFIX) && name.length > PREFIX.length

/** A new name. The document comes to be with the first edit: a visit alone leaves nothing behind. */
export function newScratchName(random: () => number): string {
  const letters = Array.from({ length: LENGTH }, () => LETTERS[Math.floor(random() * LETTERS.length)])
  return PREFIX + letters.join('')
}
