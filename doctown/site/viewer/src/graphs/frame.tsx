/**
 * The frame around a drawing: as wide as its page, with buttons that make the drawing larger and smaller. A drawing that
 * is wider than its frame is scrolled sideways, as any wide content is; the wheel always scrolls the page.
 */
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

const STEP = 1.4
const [MIN_SCALE, MAX_SCALE] = [0.5, 4]
/** A drawing that is a little wider than its frame is made smaller, as long as it can be read. */
const MIN_FIT = 0.7

interface Size {
  readonly width: number
  readonly height: number
}

/** Show what `draw` makes for the width of the frame; `label` says what it is to those who do not see it. */
export function Frame<Drawing extends Size>(props: {
  label: string
  draw: (frameWidth: number) => Drawing
  children: (drawing: Drawing) => ComponentChildren
}) {
  const frame = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(0)
  const [scale, setScale] = useState(1)
  useLayoutEffect(() => {
    const element = frame.current
    if (element === null) return
    const measure = () => setWidth(element.clientWidth)
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  const zoom = (factor: number) => setScale(Math.min(MAX_SCALE, Math.max(MIN_SCALE, scale * factor)))
  const drawing = width === 0 ? null : props.draw(width)
  const fit = drawing === null ? 1 : Math.max(MIN_FIT, Math.min(1, width / drawing.width))
  return (
    <figure class="drawing">
      <div class="drawing-tools" role="group" aria-label="Size of the drawing">
        <button type="button" aria-label="Smaller" disabled={scale <= MIN_SCALE} onClick={() => zoom(1 / STEP)}>
          −
        </button>
        <button type="button" aria-label="Larger" disabled={scale >= MAX_SCALE} onClick={() => zoom(STEP)}>
          +
        </button>
        <button type="button" disabled={scale === 1} onClick={() => setScale(1)}>
          Reset
        </button>
      </div>
      <div class="drawing-frame" ref={frame}>
        {drawing && (
          <svg
            role="group"
            aria-label={props.label}
            viewBox={`0 0 ${drawing.width} ${drawing.height}`}
            width={Math.floor(drawing.width * fit * scale)}
            height={Math.floor(drawing.height * fit * scale)}
          >
            {props.children(drawing)}
          </svg>
        )}
      </div>
    </figure>
  )
}

/**
 * The heads of arrows, for `marker-end="url(#arrow-KIND)"`, with a class for each kind. They begin where a line ends: what
 * draws it leaves room for their size.
 */
export function ArrowHeads({ kinds, size }: { kinds: readonly string[]; size: number }) {
  return (
    <defs>
      {kinds.map((kind) => (
        <marker
          key={kind}
          id={`arrow-${kind}`}
          class={`arrow-${kind}`}
          viewBox="0 0 8 8"
          refX="0.5"
          refY="4"
          markerWidth={size}
          markerHeight={size}
          markerUnits="userSpaceOnUse"
          orient="auto"
        >
          <path d="M0,0.5L8,4L0,7.5z" />
        </marker>
      ))}
    </defs>
  )
}
