import { Button } from "./Button";
import * as ui from "./Button";

export function App({ items }: { items: string[] }) {
  const [open, setOpen] = useState(false);
  return (
    <div onClick={() => toggle()}>
      <Button label="x" />
      <ui.Icon></ui.Icon>
      {items.map((item) => (
        <Row key={item} />
      ))}
    </div>
  );
}
const Row = () => <tr />;
function toggle() {}
