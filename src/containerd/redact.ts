/**
 * Removes from a text what must not reach a log or a client: user info and queries of URLs (registries redirect to
 * presigned URLs), Authorization values, and every occurrence of the given secrets.
 */
export function redact(text: string, secrets: Iterable<string> = []): string {
  let clean = text
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@"'<>]+@/gi, '$1[redacted]@')
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/[^\s?"'<>]+)\?[^\s"'<>]*/gi, '$1?[redacted]')
    .replace(/\b(Basic|Bearer) +(?!realm=)[A-Za-z0-9+/_~.=-]{8,}/g, '$1 [redacted]');
  for (const secret of secrets) {
    // Redacting a shorter secret would remove parts of ordinary words, and the gaps would reveal the secret.
    if (secret.length >= 4) clean = clean.replaceAll(secret, '[redacted]');
  }
  return clean;
}
