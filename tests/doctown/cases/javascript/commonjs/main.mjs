import lib, { run } from './lib/index.js';
import Parser from './lib/parser.js';
import { load } from './lib/late.js';
run();
lib.stop();
new Parser();
load();
