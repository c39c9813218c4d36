// Writes src/types.ts from the JSON Schemas of the worker: `node scripts/make-types.mjs [SCHEMAS_FOLDER] [FILE]`.
//
// The schemas are five documents that share many definitions; they become one module in which each type stands once.

import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { compile } from 'json-schema-to-typescript'

const here = fileURLToPath(new URL('.', import.meta.url))
const [schemasFolder = join(here, '../../../schemas'), target = join(here, '../src/types.ts')] = process.argv.slice(2)

const BANNER =
  '// Made from schemas/*.schema.json by `make types`: edit generation/domain/output.py or generation/contract instead.\n'

/** The definitions of all documents, the documents themselves among them. */
async function readDefinitions(folder) {
  const definitions = {}
  const names = (await readdir(folder)).filter((name) => name.endsWith('.schema.json')).sort()
  for (const name of names) {
    const { $schema, $id, $defs, ...root } = JSON.parse(await readFile(join(folder, name), 'utf8'))
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

const definitions = await readDefinitions(schemasFolder)
const bundle = {
  // json-schema-to-typescript writes what its root refers to.
  anyOf: Object.keys(definitions).map((key) => ({ $ref: `#/$defs/${key}` })),
  $defs: Object.fromEntries(Object.entries(definitions).map(([key, value]) => [key, simplified(value)])),
}
const code = await compile(bundle, 'AnyOfThese', {
  additionalProperties: true,
  bannerComment: BANNER,
  ignoreMinAndMaxItems: true,
  strictIndexSignatures: true,
  style: { semi: false, singleQuote: true, printWidth: 120 },
})
// That root, which nobody needs: from its name to the comment before the first type.
await writeFile(target, code.replace(/export type AnyOfThese =[^/]*/, ''))
