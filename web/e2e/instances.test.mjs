import './instances.mjs';
import './frame.mjs';
import { run } from './walk.mjs';

run('instances', { launched: false });
