import type { Bench, Part } from './bench.js';
import { onEach } from './side.js';

const PULL = 'PullImage (cold)';
const REMOVE = 'RemoveImage';

/** Pulls of an image that is present and of one that is not. */
export const pulls: Part = {
  name: 'pulls',
  operations: ['PullImage (warm)', PULL, REMOVE],
  async run(bench) {
    const { sides, recorder, images, rounds } = bench;
    const warm = { image: { image: images.warm } };
    for (let round = -2; round < rounds; round++) {
      await recorder.pair('PullImage (warm)', (side) => side.images.pullImage(warm), { kept: round >= 0 });
    }
    await onEach(sides, (side) => side.images.removeImage({ image: { image: images.cold } }));
    for (let round = -1; round < rounds; round++) await coldRound(bench, round >= 0);
  },
};

/** containerd shares content between namespaces, so a pull is cold only if neither side has the image. */
const coldRound = ({ recorder, images }: Bench, kept: boolean): Promise<void> =>
  recorder.round(
    PULL,
    async (side) => {
      const image = { image: { image: images.cold } };
      const pullMs = await elapsedMs(side.images.pullImage(image));
      return new Map([
        [PULL, [pullMs]],
        [REMOVE, [await elapsedMs(side.images.removeImage(image))]],
      ]);
    },
    { kept },
  );

async function elapsedMs(work: Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work;
  return performance.now() - startedMs;
}
