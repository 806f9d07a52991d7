//! What a close code of the server means for this page: try again, or stop and say why.

export type Halt =
  /** Deleted or in the trash: reconnecting would bring back what somebody removed. */
  | 'gone'
  /** Deleted and created anew: the local text belongs to another document of that name. */
  | 'other-epoch'
  /** The address this page was loaded from may not open sockets on this server. */
  | 'forbidden'
  /** The server keeps closing on what we send. */
  | 'rejected'

export type CloseMeaning = 'retry' | 'strike' | 'too-big' | Halt

const MEANINGS: Readonly<Record<number, CloseMeaning>> = {
  1008: 'strike',
  1009: 'too-big',
  4400: 'strike',
  4403: 'forbidden',
  4404: 'gone',
  4409: 'other-epoch',
}

/** After so many closes in a row that blame us, going on would be a loop. */
export const MAX_STRIKES = 3

export const closeMeaning = (code: number): CloseMeaning => MEANINGS[code] ?? 'retry'

const HALTS: ReadonlySet<CloseMeaning> = new Set<Halt>(['gone', 'other-epoch', 'forbidden', 'rejected'])

/** The meaning as a reason to stop; null when another attempt makes sense. */
export const haltOf = (meaning: CloseMeaning): Halt | null => (HALTS.has(meaning) ? (meaning as Halt) : null)
