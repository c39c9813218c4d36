export const text = () => "x";
