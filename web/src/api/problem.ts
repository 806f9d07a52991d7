//! An error answer of the server (`application/problem+json`), as an exception the page can act on.

export class Problem extends Error {
  /** `status` 0: the server could not be reached. */
  constructor(
    readonly status: number,
    readonly code: string,
    title: string,
    readonly detail = '',
  ) {
    super(title)
  }

  static async of(response: Response): Promise<Problem> {
    const body = (await response.json().catch(() => ({}))) as Record<string, unknown>
    const text = (key: string, otherwise: string) => (typeof body[key] === 'string' ? body[key] : otherwise)
    return new Problem(
      response.status,
      text('code', String(response.status)),
      text('title', response.statusText || `HTTP ${response.status}`),
      text('detail', ''),
    )
  }
}
