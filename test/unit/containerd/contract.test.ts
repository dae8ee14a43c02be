import { testContract } from '../../contract/contract.js';
import { createMemoryContainerd } from '../../harness/memory-containerd/memory-containerd.js';

const snapshotter = 'overlayfs';
const memory = createMemoryContainerd();
const image = memory.seedImage({ name: 'registry.example/busybox:latest', snapshotter });

testContract(() => ({ containerd: memory.connect(), snapshotter, image }));
