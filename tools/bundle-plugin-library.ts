import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { rolldown } from 'rolldown';
import ts from 'typescript';

const ENTRY = 'src/nri-plugin/index.ts';
const IMPORT = /from ['"](\.[^'"]+)['"]/g;
/** The declarations of clients and servers of gRPC. */
const OF_GRPC = /\b(CallContext|CallOptions|typeof)\b/;
/** Declarations of types without code, which need no other package. */
const PURE = [ts.SyntaxKind.InterfaceDeclaration, ts.SyntaxKind.EnumDeclaration, ts.SyntaxKind.TypeAliasDeclaration];

/**
 * Makes `crid/nri` in build/nri/: one file with the library for plugins and what it uses, and its types. It is apart
 * from crid's own bundle, because crid does not load it.
 */
export async function bundlePluginLibrary(root: string): Promise<void> {
  const folder = join(root, 'build', 'nri');
  await rm(folder, { recursive: true, force: true });
  const build = await rolldown({
    input: join(root, ENTRY),
    platform: 'node',
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
    onLog(level, log) {
      if (level !== 'debug') throw new Error(`bundle of crid/nri: ${log.message}`);
    },
  });
  await build.write({ file: join(folder, 'nri.js'), format: 'esm', comments: false });
  await build.close();
  await writeTypes(root, join(folder, 'types'));
}

/** Writes the declarations that the entry's types need. */
async function writeTypes(root: string, outDir: string): Promise<void> {
  const config = ts.parseJsonConfigFileContent(
    (ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile) as { config: unknown }).config,
    ts.sys,
    root,
  );
  const options: ts.CompilerOptions = {
    ...config.options,
    ...{ declaration: true, emitDeclarationOnly: true, incremental: false, sourceMap: false, rootDir: root, outDir },
  };
  const files = new Map<string, string>();
  const program = ts.createProgram([join(root, ENTRY)], options);
  program.emit(undefined, (path, text) => void files.set(path, text));
  const wanted = new Set<string>();
  const want = (path: string): void => {
    if (wanted.has(path)) return;
    wanted.add(path);
    const text = path.includes('/generated/') ? typesOnly(files.get(path)!) : files.get(path)!;
    files.set(path, text);
    for (const [, relative] of text.matchAll(IMPORT)) want(join(dirname(path), relative!.replace(/\.js$/, '.d.ts')));
  };
  want(join(outDir, ENTRY.replace(/\.ts$/, '.d.ts')));
  for (const path of wanted) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, files.get(path)!);
  }
}

/** Generated code also declares its encoders, with types of packages that a plugin does not have. */
function typesOnly(text: string): string {
  const { statements } = ts.createSourceFile('types.d.ts', text, ts.ScriptTarget.Latest);
  const texts = statements.filter(isPureExport).map((one) => text.slice(one.pos, one.end).trim());
  return `${texts.filter((one) => !OF_GRPC.test(one)).join('\n')}\n`;
}

const isPureExport = (one: ts.Statement): boolean =>
  PURE.includes(one.kind) &&
  ts.canHaveModifiers(one) &&
  (ts.getModifiers(one)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false);
