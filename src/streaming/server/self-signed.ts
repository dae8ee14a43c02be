import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { wallMs } from '../../base/time.js';

/**
 * Makes a key and a self-signed certificate, for `enable_tls_streaming` without a key pair. Clients cannot verify it,
 * but the connection is encrypted. Node.js cannot make certificates, so this encodes the minimum of RFC 5280 in DER.
 */
export function selfSigned(nowMs = wallMs()): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = sequence(der(SET, sequence(der(OID, COMMON_NAME), der(UTF8_STRING, Buffer.from('crid streaming')))));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const algorithm = sequence(der(OID, ECDSA_SHA256));
  const subjectKeyId = der(OCTET_STRING, createHash('sha1').update(spki).digest());
  const body = sequence(
    der(CONTEXT_0, der(INTEGER, Buffer.from([2]))),
    der(INTEGER, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name,
    sequence(time(nowMs - DAY_MS), time(nowMs + LIFETIME_MS)),
    name,
    spki,
    der(CONTEXT_3, sequence(sequence(der(OID, SUBJECT_KEY_ID), der(OCTET_STRING, subjectKeyId)))),
  );
  const signature = sign('sha256', body, privateKey);
  const certificate = sequence(body, algorithm, der(BIT_STRING, Buffer.concat([Buffer.from([0]), signature])));
  const lines = certificate.toString('base64').replace(/.{64}/g, '$&\n');
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

const DAY_MS = 24 * 3600_000;
const LIFETIME_MS = 3650 * DAY_MS;

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OID = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const SEQUENCE = 0x30;
const SET = 0x31;
const CONTEXT_0 = 0xa0;
const CONTEXT_3 = 0xa3;

const COMMON_NAME = Buffer.from('550403', 'hex');
const SUBJECT_KEY_ID = Buffer.from('551d0e', 'hex');
const ECDSA_SHA256 = Buffer.from('2a8648ce3d040302', 'hex');

function der(tag: number, content: Buffer): Buffer {
  const length = content.length;
  if (length < 128) return Buffer.concat([Buffer.from([tag, length]), content]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), content]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => der(SEQUENCE, Buffer.concat(parts));

/** Dates until 2049 have a year of two digits (RFC 5280 section 4.1.2.5). */
const time = (ms: number): Buffer =>
  der(UTC_TIME, Buffer.from(new Date(ms).toISOString().replace(/^..|[-:T]|\.\d+/g, '')));
