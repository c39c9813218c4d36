// What go/types knows of the calls of one package, as JSON lines (truth.py): GO111MODULE=off go run go_oracle.go FOLDER
// The files are those that a build on this system takes, with tests of the same package; the package may import the
// standard library alone, as the types of other packages are not known.
package main

import (
	"encoding/json"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
)

type row struct {
	Definition string   `json:"definition,omitempty"`
	File       string   `json:"file"`
	Line       int      `json:"line"`
	FirstLine  int      `json:"first_line"`
	Name       string   `json:"name"`
	Targets    [][2]any `json:"targets"`
	External   bool     `json:"external"`
}

type oracle struct {
	root  string
	files *token.FileSet
	info  *types.Info
	write *json.Encoder
}

func main() {
	root, err := filepath.Abs(os.Args[1])
	check(err)
	listed, err := build.ImportDir(root, 0)
	check(err)
	files := token.NewFileSet()
	var sources []*ast.File
	for _, name := range append(listed.GoFiles, listed.TestGoFiles...) {
		source, err := parser.ParseFile(files, filepath.Join(root, name), nil, 0)
		check(err)
		sources = append(sources, source)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{}}
	config := types.Config{Importer: importer.ForCompiler(files, "source", nil), Error: func(error) {}}
	config.Check(listed.Name, files, sources, info) // faults are left: their names are not known
	known := oracle{root, files, info, json.NewEncoder(os.Stdout)}
	for _, source := range sources {
		ast.Inspect(source, known.visit)
	}
}

func (o oracle) visit(node ast.Node) bool {
	switch found := node.(type) {
	case *ast.FuncDecl:
		o.define(found.Name)
	case *ast.TypeSpec:
		o.define(found.Name)
	case *ast.CallExpr:
		if name := called(found.Fun); name != nil && !o.info.Types[found.Fun].IsType() {
			check(o.write.Encode(o.site(found, name)))
		}
	}
	return true
}

func (o oracle) define(name *ast.Ident) {
	file, line := o.place(name.Pos())
	if name.Name != "_" {
		check(o.write.Encode(row{Definition: name.Name, File: file, Line: line}))
	}
}

// called is the identifier that a call names: nil where a value is called that has no name.
func called(function ast.Expr) *ast.Ident {
	switch found := function.(type) {
	case *ast.Ident:
		return found
	case *ast.SelectorExpr:
		return found.Sel
	case *ast.ParenExpr:
		return called(found.X)
	case *ast.IndexExpr:
		return called(found.X)
	case *ast.IndexListExpr:
		return called(found.X)
	}
	return nil
}

// site is what a call leads to: a function or method, of an interface too. What a variable holds is not known.
func (o oracle) site(call *ast.CallExpr, name *ast.Ident) row {
	file, line := o.place(name.Pos())
	_, first := o.place(call.Pos())
	site := row{File: file, Line: line, FirstLine: first, Name: name.Name, Targets: [][2]any{}}
	switch object := o.info.Uses[name].(type) {
	case *types.Builtin:
		site.External = true
	case *types.Func:
		target, line := o.place(object.Pos())
		if object.Pos().IsValid() && !strings.HasPrefix(target, "..") {
			site.Targets = append(site.Targets, [2]any{target, line})
		} else {
			site.External = true
		}
	}
	return site
}

func (o oracle) place(position token.Pos) (string, int) {
	found := o.files.Position(position)
	file, err := filepath.Rel(o.root, found.Filename)
	if err != nil {
		file = ".."
	}
	return filepath.ToSlash(file), found.Line
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
