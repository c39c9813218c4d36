import { now, wrapped as renamed } from './time.js';
import * as time from './time.js';
import LIMIT from './time.js';

export function run() {
	now();
	renamed();
	time.define();
	LIMIT();
}
