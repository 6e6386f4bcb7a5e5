import './network.mjs';
import './palette.mjs';
import { run } from './walk.mjs';

run('network');
