import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Signal } from '../../../generated/runtime/v1/api.js';
import { signalNumber } from '../../../src/base/signals.js';
import { criSignal, stopSignalNamed, stopSignalOf } from '../../../src/spec/stop-signal.js';

/** Every signal that a request can name: the enum without its default and without ts-proto's additional entry. */
const SIGNALS = Object.values(Signal).filter(
  (value): value is Signal => typeof value === 'number' && value > Signal.SIGNAL_RUNTIME_DEFAULT,
);

const ofRequest = (stop_signal: Signal): string => stopSignalOf({ stop_signal }, {});
const ofImage = (StopSignal: string): string =>
  stopSignalOf({ stop_signal: Signal.SIGNAL_RUNTIME_DEFAULT }, { config: { StopSignal } });

test('signals: the status names every signal of a request as the request did', () => {
  assert.ok(SIGNALS.length >= 65);
  const wrong = SIGNALS.filter((signal) => criSignal(ofRequest(signal)) !== signal).map((signal) => Signal[signal]);
  assert.deepEqual(wrong, []);
});

test('signals: the status names the signal that is sent, for every spelling in an image', () => {
  for (const signal of SIGNALS) {
    const name = ofRequest(signal);
    const number = signalNumber(name);
    assert.ok(number !== undefined, `${Signal[signal]} has no number`);
    const bare = name.replace(/^SIG/, '');
    const spellings = [name, bare, name.toLowerCase(), bare.toLowerCase(), String(number)];
    // The names of the CRI's enum, before v0.37 without SIGNAL_: a record may have either.
    const inCri = Signal[signal] ?? '';
    for (const spelling of [...spellings, inCri, inCri.replace('SIGNAL_', '')]) {
      const chosen = ofImage(spelling);
      assert.equal(signalNumber(chosen), number, spelling);
      assert.equal(signalNumber(ofRequest(criSignal(chosen))), number, spelling);
    }
  }
});

test('signals: a record has the name of either CRI, of Linux, or none', () => {
  assert.deepEqual(
    ['SIGNAL_SIGUSR1', 'SIGUSR1', 'SIGNAL_SIGRTMINPLUS3', 'SIGRTMIN+3', '10', '', 'SIGNAL_RUNTIME_DEFAULT'].map(
      stopSignalNamed,
    ),
    ['SIGUSR1', 'SIGUSR1', 'SIGRTMIN+3', 'SIGRTMIN+3', '10', 'SIGTERM', 'SIGTERM'],
  );
});

test('signals: real-time offsets, aliases and numbers', () => {
  const told = (spelling: string): string => (Signal[criSignal(ofImage(spelling))] ?? 'none').replace('SIGNAL_', '');
  const spellings = [
    'SIGRTMIN+3',
    'rtmin+3',
    '37',
    'RTMAX-2',
    'SIGRTMIN+16',
    'SIGRTMAX-15',
    '10',
    'CLD',
    'IOT',
    'POLL',
  ];
  assert.deepEqual(spellings.map(told), [
    'SIGRTMINPLUS3',
    'SIGRTMINPLUS3',
    'SIGRTMINPLUS3',
    'SIGRTMAXMINUS2',
    'SIGRTMAXMINUS14',
    'SIGRTMINPLUS15',
    'SIGUSR1',
    'SIGCLD',
    'SIGIOT',
    'SIGPOLL',
  ]);
});

test('signals: a signal without a name in CRI is shown as the default, and one that Linux lacks becomes SIGTERM', () => {
  // 32 and 33 are reserved for the C library.
  assert.deepEqual(
    [criSignal(ofImage('33')), criSignal(ofImage('SIGNONE')), criSignal(ofImage('65')), criSignal(ofImage(''))],
    [Signal.SIGNAL_RUNTIME_DEFAULT, Signal.SIGNAL_SIGTERM, Signal.SIGNAL_SIGTERM, Signal.SIGNAL_SIGTERM],
  );
});
