# All methods of scatter, by tasks and by expressions alone; arrays of no elements; a scatter over a scatter's outputs.
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}, StepInputExpressionRequirement: {}}
inputs:
  letters: {type: 'string[]', default: [a, b]}
  numbers: {type: 'int[]', default: [1, 2]}
  none: {type: 'string[]', default: []}
outputs:
  dot_made: {type: 'string[]', outputSource: dot/o}
  nested_made: {type: {type: array, items: {type: array, items: string}}, outputSource: nested/o}
  flat_made: {type: 'string[]', outputSource: flat/o}
  nothing_made: {type: 'string[]', outputSource: nothing/o}
  none_nested_made: {type: {type: array, items: {type: array, items: string}}, outputSource: none_nested/o}
  none_inside_made: {type: {type: array, items: {type: array, items: string}}, outputSource: none_inside/o}
  linked_made: {type: 'string[]', outputSource: linked/o}
  after_nothing_made: {type: 'string[]', outputSource: after_nothing/o}
steps:
  dot: {run: join.cwl, scatter: [a, b], scatterMethod: dotproduct, in: {a: letters, b: numbers}, out: [o]}
  nested: {run: join.cwl, scatter: [a, b], scatterMethod: nested_crossproduct, in: {a: letters, b: numbers}, out: [o]}
  nothing: {run: join.cwl, scatter: a, in: {a: none, b: numbers}, out: [o]}
  none_nested: {run: join.cwl, scatter: [a, b], scatterMethod: nested_crossproduct, in: {a: none, b: numbers}, out: [o]}
  none_inside: {run: join.cwl, scatter: [a, b], scatterMethod: nested_crossproduct, in: {a: letters, b: none}, out: [o]}
  after_nothing: {run: join.cwl, scatter: a, in: {a: nothing/o, b: letters}, out: [o]}
  linked:
    run: join.cwl
    scatter: [a, b]
    scatterMethod: dotproduct
    in: {a: dot/o, b: flat_pairs/o}
    out: [o]
  flat:
    scatter: [a, b]
    scatterMethod: flat_crossproduct
    in: {a: letters, b: numbers}
    out: [o]
    run: &words
      class: ExpressionTool
      inputs: {a: Any, b: Any}
      outputs: {o: string}
      expression: '$({o: inputs.a + "*" + inputs.b})'
  flat_pairs:
    scatter: b
    in: {a: {default: x, valueFrom: $(self + inputs.b)}, b: numbers}
    out: [o]
    run: *words
