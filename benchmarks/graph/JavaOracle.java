import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.ExpressionTree;
import com.sun.source.tree.MemberSelectTree;
import com.sun.source.tree.MethodInvocationTree;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.NewClassTree;
import com.sun.source.tree.ParameterizedTypeTree;
import com.sun.source.tree.Tree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreePath;
import com.sun.source.util.TreePathScanner;
import com.sun.source.util.Trees;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.lang.model.element.Element;
import javax.lang.model.element.ElementKind;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;

/**
 * What javac knows of the calls of a tree of Java, as JSON lines (truth.py): {@code java JavaOracle.java TREE}.
 *
 * <p>The tree may import the JDK alone. The line of a definition is the first of its annotations and modifiers.
 */
final class JavaOracle extends TreePathScanner<Void, Void> {
  private final Path root;
  private final Trees trees;
  private final SourcePositions positions;
  private final CompilationUnitTree unit;

  private JavaOracle(Path root, Trees trees, CompilationUnitTree unit) {
    this.root = root;
    this.trees = trees;
    this.positions = trees.getSourcePositions();
    this.unit = unit;
  }

  public static void main(String[] arguments) throws IOException {
    Path root = Path.of(arguments[0]).toRealPath();
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    var manager = compiler.getStandardFileManager(null, null, null);
    var files = manager.getJavaFileObjectsFromPaths(sources(root));
    var options = List.of("-proc:none", "-nowarn", "-implicit:none");
    var task = (JavacTask) compiler.getTask(null, manager, fault -> {}, options, null, files);
    List<CompilationUnitTree> units = new ArrayList<>();
    task.parse().forEach(units::add);
    task.analyze(); // faults are left: their names are not known
    units.forEach(unit -> new JavaOracle(root, Trees.instance(task), unit).scan(unit, null));
  }

  private static List<Path> sources(Path root) throws IOException {
    try (Stream<Path> found = Files.walk(root)) {
      return found.filter(path -> path.toString().endsWith(".java"))
          .filter(path -> !path.endsWith("module-info.java") && !path.endsWith("package-info.java"))
          .sorted().collect(Collectors.toList());
    }
  }

  @Override
  public Void visitClass(ClassTree tree, Void nothing) {
    define(tree.getSimpleName().toString(), tree);
    return super.visitClass(tree, nothing);
  }

  @Override
  public Void visitMethod(MethodTree tree, Void nothing) {
    String name = tree.getName().toString();
    if (!name.equals("<init>")) define(name, tree);
    return super.visitMethod(tree, nothing);
  }

  @Override
  public Void visitMethodInvocation(MethodInvocationTree tree, Void nothing) {
    ExpressionTree called = tree.getMethodSelect();
    boolean isMember = called instanceof MemberSelectTree;
    String name = isMember ? ((MemberSelectTree) called).getIdentifier().toString() : called.toString();
    long position = positions.getEndPosition(unit, called) - name.length();
    site(tree, name, position, trees.getElement(new TreePath(getCurrentPath(), called)));
    return super.visitMethodInvocation(tree, nothing);
  }

  @Override
  public Void visitNewClass(NewClassTree tree, Void nothing) {
    Tree type = tree.getIdentifier();
    if (type instanceof ParameterizedTypeTree) type = ((ParameterizedTypeTree) type).getType();
    String name = type instanceof MemberSelectTree ? ((MemberSelectTree) type).getIdentifier().toString() : type.toString();
    // The class that an anonymous one extends is what is called by name.
    boolean isAnonymous = tree.getClassBody() != null;
    TreePath path = isAnonymous ? new TreePath(getCurrentPath(), tree.getIdentifier()) : getCurrentPath();
    site(tree, name, positions.getStartPosition(unit, type), trees.getElement(path));
    return super.visitNewClass(tree, nothing);
  }

  private void define(String name, Tree tree) {
    if (name.isEmpty()) return; // an anonymous class
    System.out.printf("{\"definition\": \"%s\", \"file\": \"%s\", \"line\": %d}%n",
        name, relative(unit), line(unit, positions.getStartPosition(unit, tree)));
  }

  private void site(Tree call, String name, long position, Element target) {
    List<String> targets = new ArrayList<>();
    if (target != null) {
      addPlace(targets, target);
      if (target.getKind() == ElementKind.CONSTRUCTOR) addPlace(targets, target.getEnclosingElement());
    }
    System.out.printf("{\"file\": \"%s\", \"line\": %d, \"first_line\": %d, \"name\": \"%s\", \"targets\": [%s], "
        + "\"external\": %b}%n", relative(unit), line(unit, position),
        line(unit, positions.getStartPosition(unit, call)), name, String.join(", ", targets),
        target != null && targets.isEmpty());
  }

  private void addPlace(List<String> targets, Element element) {
    TreePath path = trees.getPath(element);
    if (path == null) return; // of the JDK, or a constructor that is not written
    CompilationUnitTree home = path.getCompilationUnit();
    long start = positions.getStartPosition(home, path.getLeaf());
    targets.add(String.format("[\"%s\", %d]", relative(home), line(home, start)));
  }

  private String relative(CompilationUnitTree unit) {
    return root.relativize(Path.of(unit.getSourceFile().toUri())).toString().replace('\\', '/');
  }

  private static long line(CompilationUnitTree unit, long position) {
    return unit.getLineMap().getLineNumber(position);
  }
}
