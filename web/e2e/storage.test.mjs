import './storage.mjs';
import './objects.mjs';
import { run } from './walk.mjs';

run('storage');
