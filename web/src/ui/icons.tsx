// Icons stand beside words and never replace them: whoever listens to the page
// hears the words only.
import {
  ApartmentOutlined as ApartmentOutlinedShape,
  ApiOutlined as ApiOutlinedShape,
  CameraOutlined as CameraOutlinedShape,
  CheckCircleFilled as CheckCircleFilledShape,
  CheckOutlined as CheckOutlinedShape,
  CloseCircleFilled as CloseCircleFilledShape,
  CloudOutlined as CloudOutlinedShape,
  CloudServerOutlined as CloudServerOutlinedShape,
  ClusterOutlined as ClusterOutlinedShape,
  CompassOutlined as CompassOutlinedShape,
  ControlOutlined as ControlOutlinedShape,
  CopyOutlined as CopyOutlinedShape,
  DashboardOutlined as DashboardOutlinedShape,
  DesktopOutlined as DesktopOutlinedShape,
  DownOutlined as DownOutlinedShape,
  DownloadOutlined as DownloadOutlinedShape,
  EllipsisOutlined as EllipsisOutlinedShape,
  ExclamationCircleFilled as ExclamationCircleFilledShape,
  ExportOutlined as ExportOutlinedShape,
  FileImageOutlined as FileImageOutlinedShape,
  FileOutlined as FileOutlinedShape,
  FolderOutlined as FolderOutlinedShape,
  FullscreenOutlined as FullscreenOutlinedShape,
  GlobalOutlined as GlobalOutlinedShape,
  GoldOutlined as GoldOutlinedShape,
  GroupOutlined as GroupOutlinedShape,
  HddOutlined as HddOutlinedShape,
  HistoryOutlined as HistoryOutlinedShape,
  InboxOutlined as InboxOutlinedShape,
  KeyOutlined as KeyOutlinedShape,
  LoadingOutlined as LoadingOutlinedShape,
  LogoutOutlined as LogoutOutlinedShape,
  MenuOutlined as MenuOutlinedShape,
  PartitionOutlined as PartitionOutlinedShape,
  PlusOutlined as PlusOutlinedShape,
  PoweroffOutlined as PoweroffOutlinedShape,
  SafetyOutlined as SafetyOutlinedShape,
  SaveOutlined as SaveOutlinedShape,
  SearchOutlined as SearchOutlinedShape,
  SwapOutlined as SwapOutlinedShape,
  UploadOutlined as UploadOutlinedShape,
  UserOutlined as UserOutlinedShape,
} from '@ant-design/icons';
import type { ComponentProps, ComponentType } from 'react';

type Props = ComponentProps<typeof CheckCircleFilledShape>;

const silent = (Shape: ComponentType<Props>) =>
  function Icon(props: Props) {
    return <Shape role="presentation" aria-label={undefined} aria-hidden="true" {...props} />;
  };

export const ApartmentOutlined = silent(ApartmentOutlinedShape);
export const ApiOutlined = silent(ApiOutlinedShape);
export const CameraOutlined = silent(CameraOutlinedShape);
export const CheckCircleFilled = silent(CheckCircleFilledShape);
export const CheckOutlined = silent(CheckOutlinedShape);
export const CloseCircleFilled = silent(CloseCircleFilledShape);
export const CloudOutlined = silent(CloudOutlinedShape);
export const CloudServerOutlined = silent(CloudServerOutlinedShape);
export const ClusterOutlined = silent(ClusterOutlinedShape);
export const CompassOutlined = silent(CompassOutlinedShape);
export const ControlOutlined = silent(ControlOutlinedShape);
export const CopyOutlined = silent(CopyOutlinedShape);
export const DashboardOutlined = silent(DashboardOutlinedShape);
export const DesktopOutlined = silent(DesktopOutlinedShape);
export const DownOutlined = silent(DownOutlinedShape);
export const DownloadOutlined = silent(DownloadOutlinedShape);
export const EllipsisOutlined = silent(EllipsisOutlinedShape);
export const ExclamationCircleFilled = silent(ExclamationCircleFilledShape);
export const ExportOutlined = silent(ExportOutlinedShape);
export const FileImageOutlined = silent(FileImageOutlinedShape);
export const FileOutlined = silent(FileOutlinedShape);
export const FolderOutlined = silent(FolderOutlinedShape);
export const FullscreenOutlined = silent(FullscreenOutlinedShape);
export const GlobalOutlined = silent(GlobalOutlinedShape);
export const GoldOutlined = silent(GoldOutlinedShape);
export const GroupOutlined = silent(GroupOutlinedShape);
export const HddOutlined = silent(HddOutlinedShape);
export const HistoryOutlined = silent(HistoryOutlinedShape);
export const InboxOutlined = silent(InboxOutlinedShape);
export const KeyOutlined = silent(KeyOutlinedShape);
export const LoadingOutlined = silent(LoadingOutlinedShape);
export const LogoutOutlined = silent(LogoutOutlinedShape);
export const MenuOutlined = silent(MenuOutlinedShape);
export const PartitionOutlined = silent(PartitionOutlinedShape);
export const PlusOutlined = silent(PlusOutlinedShape);
export const PoweroffOutlined = silent(PoweroffOutlinedShape);
export const SafetyOutlined = silent(SafetyOutlinedShape);
export const SaveOutlined = silent(SaveOutlinedShape);
export const SearchOutlined = silent(SearchOutlinedShape);
export const SwapOutlined = silent(SwapOutlinedShape);
export const UploadOutlined = silent(UploadOutlinedShape);
export const UserOutlined = silent(UserOutlinedShape);
