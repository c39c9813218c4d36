function open() {}
module.exports = {
	open,
	close() {},
	size: function () {},
};
