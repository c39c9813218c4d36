/** Whether a document has the form that its JSON Schema says: the part of JSON Schema that those of a pack use. */

export interface Schema {
  readonly $ref?: string
  readonly anyOf?: readonly Schema[]
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: Schema
  readonly $defs?: Readonly<Record<string, Schema>>
}

/** What is wrong first, with its place such as `nodes[3].kind`; null where nothing is. */
export type Check = (value: unknown) => Problem | null
interface Problem {
  place: string
  says: string
}

/** A check of documents by their schema. Keys that the schema does not know are let pass. */
export function checkOf(schema: Schema): Check {
  const known = new Map<string, Check>()
  const make = (part: Schema): Check => {
    if (part.$ref !== undefined) return referred(part.$ref.replace('#/$defs/', ''))
    if (part.anyOf) return anyOf(part.anyOf.map(make))
    const checks = [...ofType(part), ...ofValue(part)]
    if (part.items) checks.push(ofItems(make(part.items)))
    if (part.properties)
      checks.push(
        ofKeys(
          entries(part.properties).map(([key, one]) => [key, make(one)]),
          part,
        ),
      )
    if (part.additionalProperties) checks.push(ofAll(make(part.additionalProperties)))
    return (value) => first(checks, value)
  }
  // A definition is made when it is first met: some refer to themselves.
  const referred =
    (name: string): Check =>
    (value) => {
      let check = known.get(name)
      if (!check) known.set(name, (check = make(schema.$defs?.[name] ?? {})))
      return check(value)
    }
  return make(schema)
}

const entries = Object.entries as <T>(record: Readonly<Record<string, T>>) => [string, T][]

function first(checks: readonly Check[], value: unknown): Problem | null {
  for (const check of checks) {
    const problem = check(value)
    if (problem) return problem
  }
  return null
}

const TYPES: Readonly<Record<string, [string, (value: unknown) => boolean]>> = {
  string: ['a text', (value) => typeof value === 'string'],
  integer: ['a whole number', Number.isInteger],
  number: ['a number', Number.isFinite],
  boolean: ['true or false', (value) => typeof value === 'boolean'],
  null: ['null', (value) => value === null],
  array: ['a list', Array.isArray],
  object: ['an object', (value) => typeof value === 'object' && value !== null && !Array.isArray(value)],
}

function ofType({ type }: Schema): Check[] {
  const known = TYPES[type ?? '']
  return known ? [must(known[1], `should be ${known[0]}`)] : []
}

function ofValue(schema: Schema): Check[] {
  const { enum: values, pattern, minLength, maxLength, minimum, maximum, exclusiveMinimum } = schema
  const checks: Check[] = []
  if ('const' in schema)
    checks.push(must((value) => value === schema.const, `should be ${JSON.stringify(schema.const)}`))
  if (values) checks.push(must((value) => values.includes(value), `should be one of ${values.join(', ')}`))
  if (pattern !== undefined) {
    const expression = new RegExp(pattern, 'u')
    checks.push(must((value) => expression.test(value as string), `should be a text of the form ${pattern}`))
  }
  if (minLength) checks.push(must((value) => (value as string).length >= minLength, 'should not be empty'))
  if (maxLength !== undefined) {
    checks.push(must((value) => hasAtMost(maxLength, value as string), `should have ${maxLength} characters or fewer`))
  }
  if (minimum !== undefined) checks.push(must((value) => (value as number) >= minimum, `should be ${minimum} or more`))
  if (maximum !== undefined) checks.push(must((value) => (value as number) <= maximum, `should be ${maximum} or less`))
  if (exclusiveMinimum !== undefined) {
    checks.push(must((value) => (value as number) > exclusiveMinimum, `should be more than ${exclusiveMinimum}`))
  }
  return checks
}

/** In characters, as JSON Schema counts them. None takes more than two units: what is longer still is not taken apart. */
function hasAtMost(maxLength: number, text: string): boolean {
  return text.length <= 2 * maxLength && [...text].length <= maxLength
}

function must(holds: (value: unknown) => boolean, says: string): Check {
  const problem = { place: '', says }
  return (value) => (holds(value) ? null : problem)
}

function anyOf(checks: readonly Check[]): Check {
  return (value) => {
    let problem: Problem | null = null
    for (const check of checks) {
      const found = check(value)
      if (!found) return null
      // In those of a pack the first is what stands there where it is not null.
      problem ??= found
    }
    return problem
  }
}

function ofItems(check: Check): Check {
  return (value) => {
    const items = value as readonly unknown[]
    for (let place = 0; place < items.length; place += 1) {
      const problem = check(items[place])
      if (problem) return inside(`[${place}]`, problem)
    }
    return null
  }
}

function ofKeys(checks: readonly [string, Check][], { required = [] }: Schema): Check {
  const needed = new Set(required)
  return (value) => {
    const record = value as Readonly<Record<string, unknown>>
    for (const [key, check] of checks) {
      const isThere = Object.hasOwn(record, key)
      if (!isThere && !needed.has(key)) continue
      const problem = isThere ? check(record[key]) : { place: '', says: 'is missing' }
      if (problem) return inside(`.${key}`, problem)
    }
    return null
  }
}

function ofAll(check: Check): Check {
  return (value) => {
    for (const [key, item] of Object.entries(value as Record<string, unknown>)) {
      const problem = check(item)
      if (problem) return inside(`.${key}`, problem)
    }
    return null
  }
}

function inside(part: string, { place, says }: Problem): Problem {
  return { place: part + place, says }
}
