/** Paths as a tree of folders. Pure. */

export interface Folder {
  name: string
  /** From the root, with `/` at its end. */
  path: string
  folders: Folder[]
  /** Places in the list of paths. */
  files: number[]
  /** The number of files in it and in its folders. */
  total: number
}

/** A path with more parts is shown as deep as this. */
const MAX_DEPTH = 60

/** Sorted by name. A folder that holds one folder and nothing else is drawn as one with it: `src/main/java`. */
export function buildTree(paths: readonly string[]): Folder {
  const root: Folder = { name: '', path: '', folders: [], files: [], total: 0 }
  const known = new Map<Folder, Map<string, Folder>>()
  paths.forEach((path, file) => {
    let folder = root
    root.total += 1
    for (const name of path.split('/').slice(0, -1).slice(0, MAX_DEPTH)) {
      let names = known.get(folder)
      if (names === undefined) known.set(folder, (names = new Map()))
      let inner = names.get(name)
      if (inner === undefined) {
        inner = { name, path: `${folder.path}${name}/`, folders: [], files: [], total: 0 }
        names.set(name, inner)
        folder.folders.push(inner)
      }
      folder = inner
      folder.total += 1
    }
    folder.files.push(file)
  })
  root.folders = root.folders.map(joined)
  return root
}

function joined(folder: Folder): Folder {
  let [only] = folder.folders
  let name = folder.name
  let last = folder
  while (last.files.length === 0 && last.folders.length === 1 && only !== undefined) {
    name = `${name}/${only.name}`
    last = only
    only = last.folders[0]
  }
  return { ...last, name, folders: last.folders.map(joined) }
}
