exports.read = exports.load = () => {};
exports.write = write;
function write() {}
