module.exports = { ...require('./files'), late: () => 1 };
