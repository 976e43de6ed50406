'use strict';

// A small archive: node scp.js '{"port": ..., "folder": ..., ...}'. Keeps what it is sent in memory and in its folder.

const fs = require('fs');
const path = require('path');
const { dimse, keepReceived, keepSent } = require('./common.js');

const { Client, Dataset, Scp, Server } = dimse;
const { CStoreRequest } = dimse.requests;
const { CEchoResponse, CFindResponse, CGetResponse, CMoveResponse, CStoreResponse } = dimse.responses;
const { PresentationContextResult, RejectReason, RejectResult, RejectSource, SopClass, Status, TransferSyntax } =
  dimse.constants;

const given = JSON.parse(process.argv[2]);
const held = new Map();

const SERVICES = [
  SopClass.Verification,
  SopClass.StudyRootQueryRetrieveInformationModelFind,
  SopClass.StudyRootQueryRetrieveInformationModelMove,
  SopClass.StudyRootQueryRetrieveInformationModelGet,
];
const STORAGE = '1.2.840.10008.5.1.4.1.1.';
const SYNTAXES = [TransferSyntax.ExplicitVRLittleEndian, TransferSyntax.ImplicitVRLittleEndian];
const UNIQUE = { STUDY: 'StudyInstanceUID', SERIES: 'SeriesInstanceUID', IMAGE: 'SOPInstanceUID' };
const BELONGS = {
  STUDY: 'PatientID PatientName StudyInstanceUID StudyDate StudyTime StudyID StudyDescription'.split(' '),
  SERIES: 'SeriesInstanceUID SeriesDate SeriesTime SeriesNumber SeriesDescription Modality'.split(' '),
};

function above(level) {
  return level === 'STUDY' ? BELONGS.STUDY : level === 'SERIES' ? [...BELONGS.STUDY, ...BELONGS.SERIES] : null;
}

function plain(value) {
  if (Array.isArray(value)) {
    return value.map(plain).join('\\');
  }
  return value !== null && typeof value === 'object' && value.Alphabetic !== undefined
    ? value.Alphabetic
    : String(value === undefined || value === null ? '' : value);
}

function fits(keyword, wanted, value) {
  if (/Date$|Time$/.test(keyword) && wanted.includes('-')) {
    const [low, high] = wanted.split('-');
    return value !== '' && (!low || value >= low) && (!high || value.slice(0, high.length) <= high);
  }
  if (/UID$/.test(keyword)) {
    return wanted.split('\\').includes(value);
  }
  const pattern = wanted.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*').replace(/\?/g, '.');
  return new RegExp(`^${pattern}$`, 's').test(value);
}

function matching(identifier) {
  const elements = identifier.getElements();
  const keys = Object.keys(elements).filter((keyword) => {
    const value = elements[keyword];
    const holdsItems = Array.isArray(value) && value.some((one) => one !== null && typeof one === 'object');
    return !keyword.startsWith('_') && !holdsItems && keyword !== 'SpecificCharacterSet';
  });
  const wanted = keys.filter((keyword) => keyword !== 'QueryRetrieveLevel' && plain(elements[keyword]) !== '');
  return [...held.values()].filter((dataset) =>
    wanted.every((keyword) => fits(keyword, plain(elements[keyword]), plain(dataset.getElement(keyword))))
  );
}

function rows(identifier) {
  const level = identifier.getElement('QueryRetrieveLevel');
  const belongs = above(level);
  const found = new Map();
  for (const dataset of matching(identifier)) {
    const row = { SpecificCharacterSet: 'ISO_IR 192', QueryRetrieveLevel: level };
    const asked = Object.keys(identifier.getElements()).filter((keyword) => !keyword.startsWith('_'));
    for (const keyword of [...asked, ...Object.values(UNIQUE)]) {
      const value = dataset.getElement(keyword);
      if (value !== undefined && (belongs === null || belongs.includes(keyword)) && row[keyword] === undefined) {
        row[keyword] = value;
      }
    }
    found.set(dataset.getElement(UNIQUE[level]), new Dataset(row, TransferSyntax.ImplicitVRLittleEndian));
  }
  return [...found.values()];
}

function ended(response, status, completed, failed) {
  response.setStatus(status);
  response.setRemaining(0);
  response.setCompleted(completed);
  response.setWarnings(0);
  response.setFailures(failed);
  return response;
}

// Requests that store what was asked for; ``after`` hears how many were taken once all are answered.
function stores(datasets, after) {
  let taken = 0;
  let answered = 0;
  return datasets.map((dataset) => {
    const request = new CStoreRequest(new Dataset({ ...dataset.getElements() }, dataset.getTransferSyntaxUid()));
    request.on('response', (response) => {
      taken += response.getStatus() === Status.Success ? 1 : 0;
      answered += 1;
      if (answered === datasets.length) {
        after(taken);
      }
    });
    return request;
  });
}

class Archive extends Scp {
  associationRequested(association) {
    if (association.getCalledAeTitle().trim() !== given.title) {
      this.sendAssociationReject(
        RejectResult.Permanent,
        RejectSource.ServiceUser,
        RejectReason.CalledAeNotRecognized
      );
      return;
    }
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      const wanted = context.getAbstractSyntaxUid();
      const syntax = SYNTAXES.find((uid) => context.getTransferSyntaxUids().includes(uid));
      if (!SERVICES.includes(wanted) && !wanted.startsWith(STORAGE)) {
        context.setResult(PresentationContextResult.RejectAbstractSyntaxNotSupported);
      } else if (syntax === undefined) {
        context.setResult(PresentationContextResult.RejectTransferSyntaxesNotSupported);
      } else {
        context.setResult(PresentationContextResult.Accept, syntax);
      }
    }
    this.sendAssociationAccept();
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }

  abort() {}

  cCancelRequest() {}

  cEchoRequest(request, callback) {
    const response = CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }

  cStoreRequest(request, callback) {
    const dataset = request.getDataset();
    held.set(dataset.getElement('SOPInstanceUID'), dataset);
    const response = CStoreResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }

  cFindRequest(request, callback) {
    const pending = rows(request.getDataset()).map((row) => {
      const response = CFindResponse.fromRequest(request);
      response.setDataset(row);
      response.setStatus(Status.Pending);
      return response;
    });
    const last = CFindResponse.fromRequest(request);
    last.setStatus(Status.Success);
    callback([...pending, last]);
  }

  cGetRequest(request, callback) {
    const found = matching(request.getDataset());
    const finish = (taken) =>
      callback([ended(CGetResponse.fromRequest(request), Status.Success, taken, found.length - taken)]);
    if (found.length === 0) {
      finish(0);
      return;
    }
    this.sendRequests(stores(found, finish));
  }

  cMoveRequest(request, callback) {
    const destination = request.getCommandDataset().getElement('MoveDestination').trim();
    const address = given.destinations[destination];
    const found = matching(request.getDataset());
    const finish = (status, taken) =>
      callback([ended(CMoveResponse.fromRequest(request), status, taken, found.length - taken)]);
    if (address === undefined) {
      finish(Status.MoveDestinationUnknown, 0);
      return;
    }
    let moved = 0;
    const client = new Client();
    stores(found, (taken) => (moved = taken)).forEach((store) => client.addRequest(store));
    client.on('networkError', () => {});
    client.on('closed', () => finish(Status.Success, moved));
    if (found.length === 0) {
      finish(Status.Success, 0);
    } else {
      client.send(address[0], address[1], given.title, destination);
    }
  }
}

keepSent(given.sent);
keepReceived(given.received);
for (const name of fs.readdirSync(given.folder)) {
  const dataset = Dataset.fromFile(path.join(given.folder, name));
  held.set(dataset.getElement('SOPInstanceUID'), dataset);
}
const server = new Server(Archive);
server.on('networkError', (error) => console.error(`network error: ${error.message}`));
server.listen(given.port);
