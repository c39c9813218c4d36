/** The tree of files. A folder's content is drawn when it is opened. */
import { useMemo, useState } from 'preact/hooks'
import type { Model } from '../data/model.js'
import { useShown } from '../parts/context.js'
import { Name } from '../parts/links.js'
import { LongList } from '../parts/longlist.js'
import { hrefOf } from '../routes.js'
import { buildTree } from '../tree.js'
import type { Folder } from '../tree.js'
import { count, counted, shown } from '../text.js'

export function FilesPage({ model }: { model: Model }) {
  useShown('Files')
  const tree = useMemo(() => buildTree(model.names.files.map((file) => file.path)), [model])
  openFolders(model, tree)
  const { counts } = model.overview.manifest
  return (
    <>
      <h1 tabIndex={-1}>Files</h1>
      <p class="note">
        {counted(counts.files, 'file')}, {count(counts.files_skipped)} of them skipped; see{' '}
        <a href={hrefOf({ page: 'map', by: 'folders', folder: '' })}>how folders call each other</a>.
      </p>
      <div class="tree">
        <Entries model={model} folder={tree} />
      </div>
    </>
  )
}

const OPEN_FOLDERS = new WeakMap<Model, Set<string>>()

/** The folders that are open, so that whoever comes back finds the tree as it was; at first the root's largest. */
function openFolders(model: Model, root?: Folder): Set<string> {
  let opened = OPEN_FOLDERS.get(model)
  if (opened === undefined) {
    const [largest] = [...(root?.folders ?? [])].sort((left, right) => right.total - left.total)
    opened = new Set(largest === undefined ? [] : [largest.path])
    OPEN_FOLDERS.set(model, opened)
  }
  return opened
}

type Entry = { folder: Folder } | { file: number }

function Entries({ model, folder }: { model: Model; folder: Folder }) {
  const entries: Entry[] = [
    ...folder.folders.map((one) => ({ folder: one })),
    ...folder.files.map((file) => ({ file })),
  ]
  return (
    <LongList items={entries} first={200} class="plain">
      {(entry) =>
        'folder' in entry ? (
          <FolderEntry model={model} folder={entry.folder} />
        ) : (
          <FileEntry model={model} file={entry.file} />
        )
      }
    </LongList>
  )
}

function FolderEntry({ model, folder }: { model: Model; folder: Folder }) {
  const opened = openFolders(model)
  const [isOpen, setOpen] = useState(opened.has(folder.path))
  const follow = (open: boolean) => {
    setOpen(open)
    if (open) opened.add(folder.path)
    else opened.delete(folder.path)
  }
  return (
    <details open={isOpen} onToggle={(event) => follow(event.currentTarget.open)}>
      <summary>
        <Name name={folder.name} /> <span class="count">{count(folder.total)}</span>
      </summary>
      {isOpen && <Entries model={model} folder={folder} />}
    </details>
  )
}

function FileEntry({ model, file }: { model: Model; file: number }) {
  const info = model.fileInfo(file)!
  const name = info.path.split('/').at(-1) ?? info.path
  return (
    <div class="tree-file">
      <a href={hrefOf({ page: 'file', path: info.path })}>
        <Name name={name} />
      </a>
      {info.status === 'parsed' ? (
        <span class="count">{counted(symbolsOf(model, file), 'symbol')}</span>
      ) : (
        <span class="note">
          {info.status === 'skipped' ? 'skipped' : 'parsed in part'}
          {info.reason !== null && `: ${shown(info.reason, 150)}`}
        </span>
      )}
    </div>
  )
}

function symbolsOf(model: Model, file: number): number {
  let symbols = 0
  model.forNodesOfFile(file, (node) => {
    if (!model.isModule(node)) symbols += 1
  })
  return symbols
}
