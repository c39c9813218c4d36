// What the TypeScript compiler knows of the call sites of a tree of TypeScript or JavaScript, as JSON lines (truth.py):
//     NODE_PATH=… node typescript_oracle.js TREE TYPES
// TYPES is a node_modules/@types folder with node's declarations. Of the tree's own tsconfig.json only what says where
// names lead is taken: paths and conditions.
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const ts = require('typescript')

const K = ts.SyntaxKind
const SOURCE = /\.([mc]?[jt]s|[jt]sx)$/
const DECLARATIONS = /\.d\.[mc]?ts$/

const root = fs.realpathSync(process.argv[2])
const program = ts.createProgram(sourcesIn(root), compilerOptions(process.argv[3]))
const checker = program.getTypeChecker()

const rows = []
for (const file of program.getSourceFiles()) {
  if (isInside(file) && !file.isDeclarationFile) visit(file, file)
}
process.stdout.write(`${rows.join('\n')}\n`)

function sourcesIn(folder) {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const found = path.join(folder, entry.name)
    if (entry.name === 'node_modules' || entry.name.startsWith('.')) return []
    if (entry.isDirectory()) return sourcesIn(found)
    return SOURCE.test(entry.name) && !DECLARATIONS.test(entry.name) ? [found] : []
  })
}

function compilerOptions(types) {
  const file = path.join(root, 'tsconfig.json')
  const own = (fs.existsSync(file) && ts.readConfigFile(file, ts.sys.readFile).config?.compilerOptions) || {}
  return {
    allowImportingTsExtensions: true,
    allowJs: true,
    baseUrl: own.baseUrl && path.join(root, own.baseUrl),
    checkJs: false,
    customConditions: own.customConditions,
    jsx: ts.JsxEmit.Preserve,
    lib: ['lib.esnext.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    noEmit: true,
    paths: own.paths,
    pathsBasePath: own.paths && !own.baseUrl ? root : undefined,
    resolveJsonModule: true,
    skipLibCheck: true,
    strict: true,
    target: ts.ScriptTarget.ESNext,
    typeRoots: [types],
    types: ['node'],
  }
}

function visit(file, node) {
  if (isDefinition(node)) write({ definition: nameOf(node.name), file: relative(file), line: lineOf(node.name) })
  if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
    const called = node.expression
    if (ts.isIdentifier(called)) writeSite(file, node, called)
    else if (ts.isPropertyAccessExpression(called)) writeSite(file, node, called.name)
  }
  ts.forEachChild(node, (child) => visit(file, child))
}

function isDefinition(node) {
  const holdsFunction = ts.isVariableDeclaration(node) && isFunction(node.initializer)
  const isNamed = ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node) || ts.isMethodDeclaration(node)
  return (isNamed || holdsFunction) && node.name !== undefined
}

function nameOf(name) {
  return ts.isStringLiteral(name) ? name.text : name.getText()
}

function writeSite(file, call, name) {
  const declarations = declarationsOf(call, name)
  const places = declarations.filter((one) => isInside(one.getSourceFile()) && isTarget(one)).map(placeOf)
  const targets = [...new Map(places.map((place) => [place.join(':'), place])).values()]
  const isOutside = declarations.length > 0 && declarations.every((one) => !isInside(one.getSourceFile()))
  write({
    file: relative(file),
    line: lineOf(name),
    first_line: lineOf(call),
    name: name.text,
    targets,
    external: targets.length === 0 && isOutside,
  })
}

// The declarations of the name that is called, and that of the overload which is chosen.
function declarationsOf(call, name) {
  try {
    let symbol = checker.getSymbolAtLocation(name)
    if (symbol && symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol)
    const overload = checker.getResolvedSignature(call)?.declaration
    return [...(symbol?.declarations ?? []), ...(overload ? [overload] : [])]
  } catch {
    return [] // the compiler fails on some code that it has not checked: it does not know
  }
}

// Whether a declaration has a name of its own and can be called: no parameter, no local value, no type literal.
function isTarget(node) {
  switch (node.kind) {
    case K.FunctionDeclaration:
    case K.FunctionExpression:
    case K.ArrowFunction:
    case K.ClassDeclaration:
    case K.ClassExpression:
    case K.Constructor:
    case K.MethodDeclaration:
    case K.GetAccessor:
    case K.InterfaceDeclaration:
    case K.PropertyDeclaration:
    case K.PropertyAssignment:
    case K.ShorthandPropertyAssignment:
      return true
    case K.MethodSignature:
      return ts.isInterfaceDeclaration(node.parent)
    case K.VariableDeclaration:
      return isFunction(node.initializer) || (isAtTop(node) && !/\brequire\(/.test(node.initializer?.getText() ?? ''))
    case K.BinaryExpression:
      return isFunction(node.right)
    case K.PropertyAccessExpression:
      return ts.isBinaryExpression(node.parent) && isFunction(node.parent.right)
    default:
      return false
  }
}

function isFunction(node) {
  return !!node && (ts.isArrowFunction(node) || ts.isFunctionExpression(node) || ts.isClassExpression(node))
}

function isAtTop(node) {
  for (let outer = node.parent; outer; outer = outer.parent) {
    if (ts.isSourceFile(outer) || ts.isModuleBlock(outer)) return true
    if (ts.isFunctionLike(outer) || ts.isClassLike(outer) || ts.isBlock(outer)) return false
  }
  return false
}

// The line of the name: below decorators, JSDoc and `export`.
function placeOf(node) {
  const isUnnamed = ts.isArrowFunction(node) || ts.isFunctionExpression(node)
  return [relative(node.getSourceFile()), lineOf(isUnnamed ? node : (ts.getNameOfDeclaration(node) ?? node))]
}

function isInside(file) {
  return file.fileName.startsWith(`${root}/`) && !file.fileName.includes('/node_modules/')
}

function relative(file) {
  return path.relative(root, file.fileName)
}

function lineOf(node) {
  return node.getSourceFile().getLineAndCharacterOfPosition(node.getStart()).line + 1
}

function write(row) {
  rows.push(JSON.stringify(row))
}
