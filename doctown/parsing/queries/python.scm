; The nodes of Python that leave a record. Each capture names its handler in doctown/parsing/python.py.
(module) @module
(decorated_definition) @decorated
(function_definition) @function
(class_definition) @class
(lambda) @lambda
(block) @block
[(list_comprehension) (set_comprehension) (dictionary_comprehension) (generator_expression)] @comprehension
(call) @call
(assignment) @assignment
(named_expression) @walrus
(for_statement) @for
(with_statement) @with
(except_clause) @except
[(if_statement) (elif_clause)] @if
(assert_statement) @assert
(case_clause) @case
(return_statement) @return
(yield) @yield
[(global_statement) (nonlocal_statement)] @outer_names
(import_statement) @import
(import_from_statement) @import_from
(type_alias_statement) @type_alias
