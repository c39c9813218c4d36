export const Button = ({ label }: { label: string }) => <button>{label}</button>;
export function Icon() {
  return <i />;
}
