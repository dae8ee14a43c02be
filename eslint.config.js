import tseslint from 'typescript-eslint';
import { commentRules } from './tools/lint/comments.js';

/**
 * Statements that may leave a rejection without a handler: a handler that is defined elsewhere can throw again, and
 * `.catch` and `.finally` create a new promise, which has no handler.
 */
const REJECTIONS_WITHOUT_OWNER = [
  'ExpressionStatement > CallExpression[callee.property.name="catch"][arguments.0.type!="ArrowFunctionExpression"]',
  'ExpressionStatement > CallExpression[callee.property.name="finally"]',
  'ExpressionStatement > UnaryExpression[operator="void"] > CallExpression[callee.property.name=/^(catch|finally)$/]',
].map((selector) => ({ selector, message: 'the rejection has no owner: use inBackground of src/base/background.ts' }));

/**
 * Factories that are longer than a function should be: their methods are short, and share state that nothing else sees.
 */
const LONG_FACTORIES = [
  ...['events/exits', 'operation/steps', 'sandboxer/pause-sandboxer'],
  ...['capture-copy', 'container-io', 'copies', 'copy-thread', 'create-stdio', 'log-lines', 'spool'],
  ...['client-connection', 'command-session', 'spdy'],
].map((name) => `src/**/${name}.ts`);

/** The rules use types: a promise that is not awaited, or a missing case of a switch, is an error. */
export default tseslint.config(
  { ignores: ['build/', 'generated/', 'node_modules/', '.work/', '.dependency-cruiser.cjs'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    plugins: { comments: commentRules },
    rules: { 'comments/plain-words': 'error', 'comments/line-length': 'error' },
  },
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'tools/**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      // A caught value, or the reason of a rejection, is passed on unchanged.
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingUnknown: true, allowThrowingAny: true },
      ],
      '@typescript-eslint/only-throw-error': 'off',
      // Ports are records of closures, which have no `this`.
      '@typescript-eslint/unbound-method': 'off',
      // Ports are asynchronous by contract, even if an implementation has nothing to await.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      eqeqeq: 'error',
      'no-control-regex': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-restricted-syntax': [
        'error',
        ...REJECTIONS_WITHOUT_OWNER,
        { selector: 'ThrowStatement > :matches(Literal, TemplateLiteral)', message: 'throw a CriError or an Error' },
        { selector: 'ExportDefaultDeclaration', message: 'exports have names' },
        { selector: 'ExportAllDeclaration', message: 'a file exports its own, by name' },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        {
          object: 'Date',
          property: 'now',
          message: 'durations: performance.now(); what is shown or stored: wallMs of src/base/time.ts',
        },
        {
          object: 'AbortSignal',
          property: 'any',
          message: 'it leaks in Node 20: use withAnySignal of src/base/async.ts',
        },
      ],
      // A rejection without an owner: `void promise` hides it; use inBackground (src/base/background.ts).
      '@typescript-eslint/no-floating-promises': ['error', { ignoreVoid: false, checkThenables: true }],
    },
  },
  {
    files: LONG_FACTORIES,
    rules: { 'max-lines-per-function': ['error', { max: 90, skipBlankLines: true, skipComments: true }] },
  },
  {
    files: ['src/base/time.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: ['test/**/*.ts', 'tools/**/*.ts'],
    rules: {
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
      // node:test returns a promise for each test, which its runner awaits.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['test', 'it', 'describe', 'suite', 'before', 'after'] },
          ],
        },
      ],
    },
  },
);
