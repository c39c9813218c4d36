; The nodes of Rust that leave a record. Each capture names its handler in doctown/parsing/rust.py.
(line_comment doc: (doc_comment)) @doc
(block_comment doc: (doc_comment)) @doc
[(attribute_item) (inner_attribute_item)] @attribute
[(function_item) (function_signature_item)] @function
[(struct_item) (union_item)] @struct
(enum_item) @enum
(trait_item) @trait
(impl_item) @impl
(mod_item) @mod
(macro_definition) @macro_definition
[(type_item) (associated_type)] @type
[(const_item) (static_item)] @constant
(closure_expression) @closure
(block) @block
(match_expression) @match
(match_arm) @match_arm
[(if_expression) (while_expression)] @condition
(for_expression) @for
(let_declaration) @let
(call_expression) @call
(macro_invocation) @macro
(use_declaration) @use
(extern_crate_declaration) @extern_crate
