import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clone, create } from '@bufbuild/protobuf';
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorSetSchema,
  type FileDescriptorProto,
} from '@bufbuild/protobuf/wkt';
import { compareContracts, contractOf, type Comparison } from './contract.js';

const upstream = create(FileDescriptorSetSchema, {
  file: [
    { name: 'google/protobuf/any.proto', package: 'google.protobuf', messageType: [{ name: 'Any' }] },
    {
      name: 'demo.proto',
      package: 'demo',
      syntax: 'proto3',
      messageType: [
        {
          name: 'Thing',
          field: [
            { name: 'id', number: 1, label: Label.OPTIONAL, type: Type.STRING },
            { name: 'size', number: 2, label: Label.OPTIONAL, type: Type.INT64 },
            { name: 'tags', number: 3, label: Label.REPEATED, type: Type.MESSAGE, typeName: '.demo.Thing.TagsEntry' },
            { name: 'left', number: 4, label: Label.OPTIONAL, type: Type.BOOL, oneofIndex: 0 },
            { name: 'maybe', number: 5, label: Label.OPTIONAL, type: Type.BOOL, oneofIndex: 1, proto3Optional: true },
          ],
          oneofDecl: [{ name: 'side' }, { name: '_maybe' }],
          nestedType: [{ name: 'TagsEntry', options: { mapEntry: true } }],
        },
      ],
      enumType: [
        {
          name: 'Colour',
          value: [
            { name: 'RED', number: 0 },
            { name: 'BLUE', number: 1 },
          ],
        },
      ],
      service: [
        {
          name: 'Things',
          method: [
            { name: 'Get', inputType: '.demo.Thing', outputType: '.demo.Thing' },
            { name: 'Watch', inputType: '.demo.Thing', outputType: '.demo.Thing', serverStreaming: true },
          ],
        },
      ],
    },
  ],
});

/** Compares a changed copy with the original. */
function tampered(change: (file: FileDescriptorProto) => void): Comparison {
  const ours = clone(FileDescriptorSetSchema, upstream);
  change(ours.file[1]!);
  return compareContracts(contractOf(ours), contractOf(upstream));
}

const thing = (file: FileDescriptorProto) => file.messageType[0]!;
const field = (file: FileDescriptorProto, index: number) => thing(file).field[index]!;

test('equal descriptors have no difference, and every kind of fact is compared', () => {
  assert.deepEqual(
    tampered(() => undefined),
    { wrong: [], lacking: [] },
  );
  assert.deepEqual(
    [...contractOf(upstream)].map((fact) => fact.join(': ')),
    [
      'message demo.Thing: proto3',
      'field demo.Thing 1: optional string id',
      'field demo.Thing 2: optional int64 size',
      'field demo.Thing 3: repeated .demo.Thing.TagsEntry tags',
      'field demo.Thing 4: optional bool left in oneof side',
      'field demo.Thing 5: optional bool maybe with presence',
      'message demo.Thing.TagsEntry: proto3 map entry',
      'enum demo.Colour: enum',
      'value demo.Colour.RED: 0',
      'value demo.Colour.BLUE: 1',
      'service demo.Things: service',
      'rpc demo.Things/Get: .demo.Thing returns .demo.Thing',
      'rpc demo.Things/Watch: .demo.Thing returns stream .demo.Thing',
    ],
  );
});

const wrongs: readonly [name: string, change: (file: FileDescriptorProto) => void, wrong: string][] = [
  ['number', (f) => (field(f, 1).number = 9), 'field demo.Thing 9: optional int64 size here, nothing upstream'],
  [
    'type',
    (f) => (field(f, 1).type = Type.UINT64),
    'field demo.Thing 2: optional uint64 size here, optional int64 size upstream',
  ],
  [
    'name',
    (f) => (field(f, 0).name = 'ident'),
    'field demo.Thing 1: optional string ident here, optional string id upstream',
  ],
  [
    'label',
    (f) => (field(f, 0).label = Label.REPEATED),
    'field demo.Thing 1: repeated string id here, optional string id upstream',
  ],
  [
    'presence',
    (f) => (field(f, 4).proto3Optional = false),
    'field demo.Thing 5: optional bool maybe in oneof _maybe here, optional bool maybe with presence upstream',
  ],
  [
    'oneof',
    (f) => (thing(f).oneofDecl[0]!.name = 'way'),
    'field demo.Thing 4: optional bool left in oneof way here, optional bool left in oneof side upstream',
  ],
  [
    'map',
    (f) => (thing(f).nestedType[0]!.options!.mapEntry = false),
    'message demo.Thing.TagsEntry: proto3 here, proto3 map entry upstream',
  ],
  ['syntax', (f) => (f.syntax = ''), 'message demo.Thing: proto2 here, proto3 upstream'],
  ['enum value', (f) => (f.enumType[0]!.value[1]!.number = 2), 'value demo.Colour.BLUE: 2 here, 1 upstream'],
  [
    'streaming',
    (f) => (f.service[0]!.method[1]!.serverStreaming = false),
    'rpc demo.Things/Watch: .demo.Thing returns .demo.Thing here, .demo.Thing returns stream .demo.Thing upstream',
  ],
  [
    'input',
    (f) => (f.service[0]!.method[0]!.inputType = '.demo.Other'),
    'rpc demo.Things/Get: .demo.Other returns .demo.Thing here, .demo.Thing returns .demo.Thing upstream',
  ],
  ['package', (f) => (f.package = 'other'), 'message other.Thing: proto3 here, nothing upstream'],
];

for (const [name, change, wrong] of wrongs) {
  test(`another ${name} is found`, () => {
    assert.ok(tampered(change).wrong.includes(wrong), tampered(change).wrong.join('\n'));
  });
}

test('declarations that only upstream has are listed, and are not errors', () => {
  const comparison = tampered((file) => {
    thing(file).field.splice(0, 1);
    file.service[0]!.method.splice(0, 1);
    file.enumType.splice(0, 1);
  });
  assert.deepEqual(comparison, {
    wrong: [],
    lacking: [
      'field demo.Thing 1: optional string id',
      'enum demo.Colour: enum',
      'value demo.Colour.RED: 0',
      'value demo.Colour.BLUE: 1',
      'rpc demo.Things/Get: .demo.Thing returns .demo.Thing',
    ],
  });
});
