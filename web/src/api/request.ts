//! One request to the API: the headers that keep other origins out, and every failure as a `Problem`.

import { Problem } from './problem'

export const ROOT = '/api/docs'

export const documentRoute = (id: string, action = '') => `${ROOT}/${encodeURIComponent(id)}${action}`

/** An answer of any form. An aborted request rejects with what aborted it, anything else with a `Problem`. */
export async function send(
  method: string,
  url: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  // A page of another origin can send neither of these headers without asking first.
  const headers: HeadersInit =
    body === undefined ? { 'X-Requested-With': 'coscribe' } : { 'Content-Type': 'application/json' }
  let response: Response
  try {
    response = await fetch(url, {
      method,
      headers,
      credentials: 'same-origin',
      cache: 'no-store',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new Problem(0, 'unreachable', 'The server cannot be reached')
  }
  if (!response.ok) throw await Problem.of(response)
  return response
}

/** An answer in JSON; `undefined` for an empty one. */
export async function request<T>(
  method: string,
  url: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<T> {
  const response = await send(method, url, body, signal)
  const text = await response.text()
  return (text === '' ? undefined : JSON.parse(text)) as T
}
