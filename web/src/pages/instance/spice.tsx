import type { Server } from '../../api/compute';
import { SpiceScreen } from '../../ui/spice';
import { InPage } from './in-page';

export default function Spice({ server }: { server: Server }) {
  return <InPage server={server} kind="spice" of={SpiceScreen} />;
}
