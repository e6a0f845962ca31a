# when: known, and known only at run time; of scattered steps and of subworkflows; pickValue and linkMerge, all of them.
cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
  SubworkflowFeatureRequirement: {}
  InlineJavascriptRequirement: {}
  StepInputExpressionRequirement: {}
  MultipleInputFeatureRequirement: {}
inputs:
  yes: {type: boolean, default: true}
  words: {type: 'string[]', default: [x, y, z]}
outputs:
  no_made: {type: 'string?', outputSource: no/o}
  late_no_made: {type: 'string?', outputSource: late_no/o}
  first: {type: string, outputSource: [no/o, a/o, late/o], pickValue: first_non_null}
  only: {type: string, outputSource: [late_no/o, late/o, no/o], pickValue: the_only_non_null}
  every: {type: 'string[]', outputSource: [no/o, a/o, late/o], pickValue: all_non_null}
  never: {type: 'string[]', outputSource: [no/o, late_no/o], pickValue: all_non_null}
  alternate_made: {type: {type: array, items: ['null', string]}, outputSource: alternate/o}
  picked: {type: 'string[]', outputSource: alternate/o, pickValue: all_non_null}
  sub_made: {type: {type: array, items: ['null', string]}, outputSource: sub/o}
  late_sub_made: {type: 'string?', outputSource: late_sub/o}
  nested: {type: {type: array, items: Any}, outputSource: merge/nest}
  flattened: {type: 'string[]', outputSource: merge/flat}
  defaulted_made: {type: string, outputSource: defaulted/o}
  one_link: {type: {type: array, items: {type: array, items: string}}, outputSource: [words], linkMerge: merge_nested}
steps:
  a: {run: join.cwl, in: {a: {default: a}, b: {default: 1}}, out: [o]}
  no: {run: join.cwl, when: $(!inputs.yes), in: {yes: yes, a: {default: no}, b: {default: 1}}, out: [o]}
  late: {run: join.cwl, when: '$(inputs.a == "a+1")', in: {a: a/o, b: {default: late}}, out: [o]}
  late_no: {run: join.cwl, when: '$(inputs.a == "b")', in: {a: a/o, b: {default: late}}, out: [o]}
  alternate: {run: join.cwl, scatter: a, when: '$(inputs.a != "y")', in: {a: words, b: a/o}, out: [o]}
  defaulted: {run: join.cwl, in: {a: {source: no/o, default: instead}, b: {source: late_no/o, default: too}}, out: [o]}
  sub:
    scatter: word
    when: $(inputs.word < "z")
    in: {word: words, late: late/o}
    out: [o]
    run: &sub
      class: Workflow
      inputs: {word: string, late: string}
      outputs: {o: {type: string, outputSource: inner/o}}
      steps:
        inner: {run: join.cwl, in: {a: word, b: late}, out: [o]}
  late_sub: {when: '$(inputs.late == "?")', in: {word: {default: w}, late: late/o}, out: [o], run: *sub}
  merge:
    in:
      nested: {source: [words, a/o, words], linkMerge: merge_nested}
      flattened: {source: [words, a/o, words], linkMerge: merge_flattened}
    out: [nest, flat]
    run:
      class: ExpressionTool
      inputs: {nested: Any, flattened: 'string[]'}
      outputs: {nest: {type: {type: array, items: Any}}, flat: 'string[]'}
      expression: '$({nest: inputs.nested, flat: inputs.flattened})'
