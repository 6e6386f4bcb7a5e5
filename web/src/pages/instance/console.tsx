import type { Server } from '../../api/compute';
import { Screen } from '../../ui/screen';
import { InPage } from './in-page';

export default function Console({ server }: { server: Server }) {
  return <InPage server={server} kind="vnc" of={Screen} />;
}
