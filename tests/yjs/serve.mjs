// The line protocol of all scripts here: one JSON request per line in, one JSON answer per line out, in order.
import { createInterface } from 'node:readline'

/** Answers each request by the function of its name; what that throws is answered as an error. */
export const serve = async (requests) => {
  for await (const line of createInterface({ input: process.stdin })) {
    const { ask, ...rest } = JSON.parse(line)
    let answer
    try {
      answer = await requests[ask](rest) ?? {}
    } catch (error) {
      answer = { error: String(error.stack) }
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
  process.exit(0)
}
