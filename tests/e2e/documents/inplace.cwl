cwlVersion: v1.2
class: Workflow
requirements: {InplaceUpdateRequirement: {inplaceUpdate: true}, ScatterFeatureRequirement: {}}
inputs: {given: File, folder: Directory}
outputs:
  made: {type: File, outputSource: make/made}
  early: {type: File, outputSource: early/said}
  added: {type: File, outputSource: add/made}
  late: {type: File, outputSource: late/said}
  copied: {type: File, outputSource: change_input/made}
  folder_copied: {type: Directory, outputSource: change_folder/made}
  folder_updated: {type: Directory, outputSource: update_folder/made}
  parts: {type: 'File[]', outputSource: parts/made}
  parts_updated: {type: 'File[]', outputSource: update_parts/made}
steps:
  change_input:
    in: {file: given, text: {default: changed}}
    out: [made]
    run: &append
      class: CommandLineTool
      requirements: {InitialWorkDirRequirement: {listing: [{entry: $(inputs.file), entryname: mine.txt, writable: true}]}}
      baseCommand: [sh, -c, 'echo "$0" >> mine.txt']
      inputs: {file: File, text: {type: string, inputBinding: {}}}
      outputs: {made: {type: File, outputBinding: {glob: mine.txt}}}
  change_folder:
    in: {folder: folder}
    out: [made]
    run: &touch
      class: CommandLineTool
      requirements: {InitialWorkDirRequirement: {listing: [{entry: $(inputs.folder), entryname: mine, writable: true}]}}
      baseCommand: [sh, -c, 'echo $(ls mine) > mine/$(ls mine | wc -l)']
      inputs: {folder: Directory}
      outputs: {made: {type: Directory, outputBinding: {glob: mine}}}
  update_folder:
    in: {folder: change_folder/made}
    out: [made]
    run: *touch
  make:
    in: {file: given}
    out: [made]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {file: {type: File, inputBinding: {}}}
      outputs: {made: stdout}
      stdout: made.txt
  early:
    in: {file: make/made}
    out: [said]
    run: &read
      class: CommandLineTool
      baseCommand: [sh, -c, 'sleep 1; cat "$0"']
      inputs: {file: {type: File, inputBinding: {}}}
      outputs: {said: stdout}
      stdout: said.txt
  add:
    in: {file: make/made, text: {default: one}}
    out: [made]
    run: *append
  again:
    in: {file: add/made, text: {default: two}}
    out: [made]
    run: *append
  late:
    in: {file: again/made}
    out: [said]
    run: *read
  parts:
    scatter: text
    in: {text: {default: [a, b]}}
    out: [made]
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs: {text: {type: string, inputBinding: {}}}
      outputs: {made: stdout}
      stdout: part.txt
  update_parts:
    scatter: file
    in: {file: parts/made, text: {default: more}}
    out: [made]
    run: *append
