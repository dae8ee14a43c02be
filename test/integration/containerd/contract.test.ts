import { after, before } from 'node:test';
import { testContract } from '../../contract/contract.js';
import { busybox, chainId, connect, empty, pullBusybox, snapshotter } from './lab.js';

const containerd = connect('crid-test-contract');
let parent = '';

before(async () => {
  await empty(containerd);
  await pullBusybox(containerd);
  parent = await chainId(containerd, busybox);
});
after(async () => {
  await empty(containerd);
  containerd.close();
});

testContract(() => ({ containerd, snapshotter, image: { name: busybox, chainId: parent } }));
