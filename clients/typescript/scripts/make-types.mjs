// Writes what is made of the JSON Schemas of the worker: `node scripts/make-types.mjs [SCHEMAS_FOLDER] [FOLDER]`.
//
// The schemas of jobs are documents that share many definitions; they become one module in which each type stands once.
// Those of a pack become a module of types, whose names begin with Docpack, and one of schemas that a reader checks.

import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { compile } from 'json-schema-to-typescript'
import { format } from 'prettier'

const here = fileURLToPath(new URL('.', import.meta.url))
const [schemasFolder = join(here, '../../../schemas'), target = join(here, '../src')] = process.argv.slice(2)
const STYLE = { semi: false, singleQuote: true, printWidth: 120 }

const banner = (schemas, sources) => `// Made from schemas/${schemas} by \`make types\`: edit ${sources} instead.\n`
const JOBS = banner('*.schema.json', 'generation/domain/output.py or generation/contract')
const PACKS = banner('docpack/*.schema.json', 'doctown/docpack/schema.py')

/** The documents of a folder by their names. */
async function readSchemas(folder) {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.schema.json')).sort()
  const read = async (name) => [
    name.replace('.schema.json', ''),
    JSON.parse(await readFile(join(folder, name), 'utf8')),
  ]
  return Object.fromEntries(await Promise.all(names.map(read)))
}

/** The definitions of all documents, the documents themselves among them. */
function definitionsOf(schemas) {
  const definitions = {}
  for (const [name, { $schema, $id, $defs, ...root }] of Object.entries(schemas)) {
    for (const [key, definition] of Object.entries({ ...$defs, [root.title]: root })) {
      if (key in definitions && !isDeepStrictEqual(definitions[key], definition)) {
        throw new Error(`${name} and another schema differ in what ${key} is`)
      }
      definitions[key] = definition
    }
  }
  return definitions
}

/**
 * A definition as the compiler wants it. That exactly one of two keys is given is for validators: as a type it would
 * hide the other keys. A reference with a description of its own would become a second type.
 */
function simplified(definition) {
  if (!definition.properties) return definition
  const { oneOf, properties, ...rest } = definition
  const bare = ([key, value]) => [key, value.$ref ? { $ref: value.$ref } : value]
  return { ...rest, properties: Object.fromEntries(Object.entries(properties).map(bare)) }
}

async function writeTypes(file, bannerComment, schemas) {
  const definitions = definitionsOf(schemas)
  const bundle = {
    // json-schema-to-typescript writes what its root refers to.
    anyOf: Object.keys(definitions).map((key) => ({ $ref: `#/$defs/${key}` })),
    $defs: Object.fromEntries(Object.entries(definitions).map(([key, value]) => [key, simplified(value)])),
  }
  const code = await compile(bundle, 'AnyOfThese', {
    additionalProperties: true,
    bannerComment,
    ignoreMinAndMaxItems: true,
    strictIndexSignatures: true,
    style: STYLE,
  })
  // That root, which nobody needs: from its name to the comment before the first type.
  await writeFile(join(target, file), code.replace(/export type AnyOfThese =[^/]*/, ''))
}

/** The schemas of a pack as the compiler wants them, under other names: Node and Document are the browser's. */
function renamed(schemas) {
  const name = (title) => `Docpack${title.replace(/Document$/, '')}`
  const refer = (value) => {
    if (Array.isArray(value)) return value.map(refer)
    if (typeof value !== 'object' || value === null) return value
    if (value.$ref) return { ...value, $ref: `#/$defs/${name(value.$ref.replace('#/$defs/', ''))}` }
    // A key with a title of its own would become a type of its own.
    const parts = Object.entries(value).filter(([key, one]) => key !== 'title' || typeof one !== 'string')
    return Object.fromEntries(parts.map(([key, one]) => [key, refer(one)]))
  }
  const titled = (schema, title) => ({ ...refer(schema), title: name(title) })
  const document = ({ $defs = {}, ...root }) => ({
    ...titled(root, root.title),
    $defs: Object.fromEntries(Object.entries($defs).map(([key, one]) => [name(key), titled(one, key)])),
  })
  return Object.fromEntries(Object.entries(schemas).map(([key, one]) => [key, document(one)]))
}

/** A schema without what no value depends on. */
function bare(schema) {
  const { $schema, title, description, examples, propertyNames, additionalProperties, ...rest } = schema
  const parts = {}
  for (const [key, value] of Object.entries(rest)) {
    if (key === 'properties' || key === '$defs') {
      parts[key] = Object.fromEntries(Object.entries(value).map(([name, one]) => [name, bare(one)]))
    } else if (key === 'anyOf') parts[key] = value.map(bare)
    else parts[key] = key === 'items' ? bare(value) : value
  }
  // A later writer may add keys.
  return additionalProperties ? { ...parts, additionalProperties: bare(additionalProperties) } : parts
}

async function writePackSchemas(file, schemas) {
  const parts = Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, bare(schema)]))
  const typed = "import type { Schema } from './shape.js'\n\nexport const SCHEMAS: Readonly<Record<string, Schema>> ="
  const code = `${PACKS}\n${typed} ${JSON.stringify(parts)}\n`
  await writeFile(join(target, file), await format(code, { ...STYLE, parser: 'typescript' }))
}

const packs = await readSchemas(join(schemasFolder, 'docpack'))
await writeTypes('types.ts', JOBS, await readSchemas(schemasFolder))
await writeTypes('docpack-types.ts', PACKS, renamed(packs))
await writePackSchemas('docpack-schemas.ts', packs)
