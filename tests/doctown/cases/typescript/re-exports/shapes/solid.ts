export const volume = function () {};
