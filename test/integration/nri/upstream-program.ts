import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from '../../../tools/stack/exec.js';
import { cacheFolder } from '../../../tools/stack/layout.js';
import { withLock } from '../../../tools/stack/lock.js';

/** The releases whose merging and application of adjustments crid is compared with. */
export const NRI = 'v0.12.5';
export const CONTAINERD = 'v2.4.2';
const LIMIT_MS = 600_000;

/** A container and the answers of plugins; messages are protobuf in base64. */
export interface UpstreamCase {
  readonly name: string;
  /** An OCI spec, as JSON. */
  readonly spec: string;
  readonly request: string;
  readonly answers: readonly { readonly plugin: string; readonly response: string }[];
}

export interface UpstreamResult {
  readonly error?: string;
  readonly spec?: unknown;
  /** The `Container` message that the next plugin would see. */
  readonly container?: string;
  /** The `ContainerUpdate` messages for other containers. */
  readonly updates?: readonly string[];
  readonly owners?: string;
  /** The `Container` message that upstream makes of the spec before the plugins change it. */
  readonly before?: string;
}

/**
 * Runs the cases through upstream's code: the merge of NRI's runtime side (pkg/adaptation/result.go, which no other
 * module can import, so the program has a copy of the file) and the generator with which containerd's CRI plugin
 * applies the result to a spec.
 */
export async function runUpstream(cases: readonly UpstreamCase[]): Promise<UpstreamResult[]> {
  const program = await ensureProgram();
  const folder = await mkdtemp(join(tmpdir(), 'crid-nri-'));
  try {
    const path = join(folder, 'cases.json');
    await writeFile(path, JSON.stringify(cases));
    return JSON.parse(await run(program, [path], { timeoutMs: LIMIT_MS })) as UpstreamResult[];
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Returns the path of the program, which is built once; only the first run needs Go and the network. */
async function ensureProgram(): Promise<string> {
  const hash = createHash('sha256').update(`${NRI} ${CONTAINERD} ${PROGRAM}`).digest('hex').slice(0, 12);
  const path = join(cacheFolder(), 'go', 'test', `nri-adjust-${hash}`);
  if (existsSync(path)) return path;
  await mkdir(dirname(path), { recursive: true });
  await withLock(`${path}.lock`, async () => {
    if (!existsSync(path)) await build(path);
  });
  return path;
}

async function build(path: string): Promise<void> {
  const folder = await mkdtemp(join(dirname(path), 'build-'));
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' };
  const go = (...args: string[]): Promise<string> => run('go', args, { cwd: folder, env, timeoutMs: LIMIT_MS });
  const directory = async (name: string, version: string): Promise<string> => {
    const { Dir } = JSON.parse(await go('mod', 'download', '-json', `${name}@${version}`)) as { Dir: string };
    return Dir;
  };
  try {
    await writeFile(join(folder, 'go.mod'), 'module adjust\n');
    const nri = await directory('github.com/containerd/nri', NRI);
    const containerd = await directory('github.com/containerd/containerd/v2', CONTAINERD);
    const copies = [
      [join(nri, 'pkg', 'adaptation', 'result.go'), 'package adaptation'],
      [join(nri, 'pkg', 'adaptation', 'api.go'), 'package adaptation'],
      [join(containerd, 'internal', 'cri', 'nri', 'spec_generator_linux.go'), 'package nri'],
    ] as const;
    for (const [index, [source, declaration]] of copies.entries()) {
      const text = await readFile(source, 'utf8');
      await writeFile(join(folder, `copy${index}_linux.go`), text.replace(declaration, 'package main'));
    }
    const theirs = await readFile(join(nri, 'go.mod'), 'utf8');
    const own = theirs.replace(/^module .*$/m, 'module adjust');
    await writeFile(join(folder, 'go.mod'), `${own}\nrequire github.com/containerd/nri ${NRI}\n`);
    await writeFile(join(folder, 'go.sum'), await readFile(join(nri, 'go.sum')));
    await writeFile(join(folder, 'main_linux.go'), PROGRAM);
    await go('build', '-o', 'program', '.');
    await rename(join(folder, 'program'), path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const PROGRAM = `package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/containerd/nri/pkg/api"
	nrigen "github.com/containerd/nri/pkg/runtime-tools/generate"
	runtimespec "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
)

type testCase struct {
	Spec    string
	Request []byte
	Answers []struct {
		Plugin   string
		Response []byte
	}
}

type outcome struct {
	Error     string            \`json:"error,omitempty"\`
	Spec      *runtimespec.Spec \`json:"spec,omitempty"\`
	Container []byte            \`json:"container,omitempty"\`
	Updates   [][]byte          \`json:"updates,omitempty"\`
	Owners    []byte            \`json:"owners,omitempty"\`
	Before    []byte            \`json:"before,omitempty"\`
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	var cases []testCase
	if err := json.Unmarshal(must(os.ReadFile(os.Args[1])), &cases); err != nil {
		log.Fatal(err)
	}
	outcomes := []outcome{}
	for _, c := range cases {
		outcomes = append(outcomes, adjust(c))
	}
	json.NewEncoder(os.Stdout).Encode(outcomes)
}

func adjust(c testCase) outcome {
	spec := &runtimespec.Spec{}
	request := &api.CreateContainerRequest{}
	if err := json.Unmarshal([]byte(c.Spec), spec); err != nil {
		log.Fatal(err)
	}
	if err := proto.Unmarshal(c.Request, request); err != nil {
		log.Fatal(err)
	}
	before := must(proto.Marshal(view(spec)))
	merged := collectCreateContainerResult(request)
	for _, answer := range c.Answers {
		response := &api.CreateContainerResponse{}
		if err := proto.Unmarshal(answer.Response, response); err != nil {
			log.Fatal(err)
		}
		if err := merged.apply(response, answer.Plugin); err != nil {
			return outcome{Error: err.Error(), Before: before}
		}
	}
	response := merged.createContainerResponse()
	generator := nrigen.SpecGenerator(newSpecGen(spec), nrigen.WithRdtResolver(
		func(class string) (*runtimespec.LinuxIntelRdt, error) {
			return &runtimespec.LinuxIntelRdt{ClosID: class}, nil
		}))
	if err := generator.Adjust(response.Adjust); err != nil {
		return outcome{Error: err.Error(), Before: before}
	}
	updates := [][]byte{}
	for _, update := range response.Update {
		updates = append(updates, must(proto.Marshal(update)))
	}
	return outcome{
		Spec:      spec,
		Container: must(proto.Marshal(request.Container)),
		Updates:   updates,
		Owners:    must(proto.Marshal(merged.owners)),
		Before:    before,
	}
}

// view converts a spec as containerd's internal/cri/nri does, with the functions of NRI.
func view(spec *runtimespec.Spec) *api.Container {
	process, linux := spec.Process, spec.Linux
	container := &api.Container{
		Args:   process.Args,
		Env:    process.Env,
		Mounts: api.FromOCIMounts(spec.Mounts),
		Hooks:  api.FromOCIHooks(spec.Hooks),
		User: &api.User{
			Uid:            process.User.UID,
			Gid:            process.User.GID,
			AdditionalGids: process.User.AdditionalGids,
		},
		Linux: &api.LinuxContainer{
			Namespaces:  api.FromOCILinuxNamespaces(linux.Namespaces),
			Devices:     api.FromOCILinuxDevices(linux.Devices),
			Resources:   api.FromOCILinuxResources(linux.Resources, nil),
			OomScoreAdj: api.Int(process.OOMScoreAdj),
			CgroupsPath: linux.CgroupsPath,
			IoPriority:  api.FromOCILinuxIOPriority(process.IOPriority),
			Scheduler:   api.FromOCILinuxScheduler(process.Scheduler),
			NetDevices:  api.FromOCILinuxNetDevices(linux.NetDevices),
			Sysctl:      linux.Sysctl,
		},
	}
	if linux.Seccomp != nil {
		container.Linux.SeccompPolicy = api.FromOCILinuxSeccomp(linux.Seccomp)
	}
	if rdt := linux.IntelRdt; rdt != nil {
		container.Linux.Rdt = &api.LinuxRdt{
			ClosId:           api.String(rdt.ClosID),
			Schemata:         api.RepeatedString(rdt.Schemata),
			EnableMonitoring: api.Bool(rdt.EnableMonitoring),
		}
	}
	for _, limit := range process.Rlimits {
		container.Rlimits = append(container.Rlimits, &api.POSIXRlimit{
			Type: limit.Type,
			Hard: limit.Hard,
			Soft: limit.Soft,
		})
	}
	return container
}
`;
