import './identity.mjs';
import { run } from './walk.mjs';

run('identity', { launched: false });
