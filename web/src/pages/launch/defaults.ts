// What the launch page proposes: the choices that most people would make, so
// that a name is all that must be typed.
import type { Flavor } from '../../api/compute';
import type { Image } from '../../api/image';
import type { Network } from '../../api/network';

export const usable = (image: Image) => image.status === 'active';

/** Why a flavor cannot carry an image; null when it can. */
export function misfit(flavor: Flavor, image: Image | undefined): 'ram' | 'disk' | null {
  if (image === undefined) {
    return null;
  }
  if (flavor.ram < image.min_ram) {
    return 'ram';
  }
  // A flavor without a disk takes the image's size.
  const needed = Math.max(image.min_disk, Math.ceil((image.virtual_size ?? 0) / 1024 ** 3));
  return flavor.disk > 0 && flavor.disk < needed ? 'disk' : null;
}

/** The smallest flavor that carries the image. Flavors come sorted. */
export const firstFlavor = (flavors: Flavor[], image: Image | undefined) => flavors.find((flavor) => misfit(flavor, image) === null);

/** What a server of this project can be plugged into. */
export const pluggable = (networks: Network[], project: string) =>
  networks.filter((n) => n.subnets.length > 0 && !n['router:external'] && (n.project_id === project || n.shared));

/** The project's own network rather than a shared one, and the oldest of them. */
export function firstNetwork(networks: Network[], project: string): Network | undefined {
  const own = networks.filter((n) => n.project_id === project);
  return (own.length > 0 ? own : networks).toSorted((a, b) => a.created_at.localeCompare(b.created_at))[0];
}
