# Every type of CWL as an input, on a command line, and as an output.
cwlVersion: v1.2
class: Workflow
requirements:
  InlineJavascriptRequirement: {}
  SchemaDefRequirement:
    types: [{$import: person.yml}]
inputs:
  none: 'null'
  yes: boolean
  no: boolean
  int: int
  long: long
  float: float
  double: double
  small: double
  large: double
  string: string
  optional: 'string?'
  union: [int, string]
  any: Any
  any_record: Any
  enum: {type: {type: enum, symbols: [red, green]}}
  people: 'person.yml#person[]'
  matrix: {type: {type: array, items: {type: array, items: int}}}
  record: {type: {type: record, fields: {a: {type: int}, b: {type: ['null', File]}}}}
outputs:
  listed: {type: File, outputSource: words/o}
  same: {type: Any, outputSource: back/o}
  record_made: {type: Any, outputSource: made/record}
steps:
  back:
    in: &all
      {none: none, yes: yes, no: no, int: int, long: long, float: float, double: double, small: small, large: large, string: string,
       optional: optional, union: union, any: any, any_record: any_record, enum: enum, people: people, matrix: matrix, record: record}
    out: [o]
    run:
      class: ExpressionTool
      inputs:
        {none: Any?, yes: Any, no: Any, int: Any, long: Any, float: Any, double: Any, small: Any, large: Any, string: Any,
         optional: Any?, union: Any, any: Any, any_record: Any, enum: Any, people: Any, matrix: Any, record: Any}
      outputs: {o: Any}
      expression: '$({o: inputs})'
  words: {run: words.cwl, in: *all, out: [o]}
  made:
    in: {int: int}
    out: [record]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo $0 > n.txt; echo f > f.txt']
      inputs: {int: {type: int, inputBinding: {}}}
      outputs:
        record:
          type:
            type: record
            fields:
              n: {type: int, outputBinding: {glob: n.txt, loadContents: true, outputEval: "$(parseInt(self[0].contents))"}}
              f: {type: File, outputBinding: {glob: f.txt}}
              none: {type: 'File?', outputBinding: {glob: no.txt}}
              e: {type: {type: enum, symbols: [up, down]}, outputBinding: {glob: f.txt, outputEval: $("down")}}
