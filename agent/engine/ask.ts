/**
 * Requests to an engine's API, with their errors as they come: `answerTo` gives the head of an answer whose body is a
 * stream, `ask` a short answer in JSON, whole. What an error means to a user is for engine.ts to say.
 */
import type { IncomingMessage, RequestOptions } from 'node:http';
import type { Transport } from './transport.ts';

/** A list of 10,000 images with their manifests takes about 50 MB. */
const ANSWER_MAX_BYTES = 256 * 2 ** 20;
const ERROR_MAX_CHARACTERS = 4096;

export interface Question {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  /** Without the query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
}

/** The engine answered with an HTTP status that is not 2xx; the message is the engine's. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(`${message} (HTTP ${status})`);
    this.status = status;
  }
}

/** The JSON of an answer, undefined where it is empty. Throws a Refusal, or why there is no such answer. */
export async function ask(transport: Transport, question: Question, timeoutMs: number): Promise<unknown> {
  const { method = 'GET', path, query } = question;
  const search = query === undefined ? '' : `?${new URLSearchParams(query)}`;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await answerTo(transport, { method, path: path + search, signal });
    const { statusCode = 0 } = response;
    if (statusCode < 200 || statusCode > 299) throw new Refusal(statusCode, await readError(response));
    return parse(await readWhole(response));
  } catch (error) {
    if (signal.aborted) throw new Error(`no answer within ${timeoutMs / 1000} s`, { cause: error });
    throw error;
  }
}

export async function answerTo(transport: Transport, given: RequestOptions): Promise<IncomingMessage> {
  const sent = transport.request({ ...transport.options, ...given });
  return new Promise((resolve, reject) => {
    sent.once('response', resolve);
    sent.once('error', reject);
    sent.end();
  });
}

/** What an answer that is an error says. */
export async function readError(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8'))
    if (text.length < ERROR_MAX_CHARACTERS) text += chunk;
  try {
    return String((JSON.parse(text) as { message?: unknown }).message ?? text);
  } catch {
    return text.trim();
  }
}

async function readWhole(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ANSWER_MAX_BYTES) throw new Error(`answered with more than ${ANSWER_MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parse(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error('answered with something other than JSON', { cause });
  }
}
